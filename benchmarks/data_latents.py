"""How fast ``artv data latents`` makes latents of mp4 files, beside its decoder alone and its encoder alone.

    python benchmarks/data_latents.py --out results --work /tmp/work                        # one GPU
    python benchmarks/data_latents.py --source 1280x720 --part decoder --part command …     # larger files
    python benchmarks/data_latents.py --preset shapes --clips 40 --device cpu --work …      # a rehearsal

Clips are 320 × 240 at 25 fps, four seconds, H.264: eight of them under many names. Encoders have random weights of full
size. Clips a second of the command are those between its first and its last shard; the GPU's busy share is NVML's over
the same time. Errors of each precision are against float32 without TF32, relative to the latents' deviation, and stand
beside what storing them and half a grey level in every pixel do; ``shapes``: of its trained autoencoder. Writes
``data_latents_SOURCE.json`` as it goes.

Expected on an H200: 0.428 TFLOP a frame (torch's counter), so 6.85 a clip of 16 at 320 pixels. At the card's 790
TFLOP/s of half precision that is 115 clips/s; at 55 % of it, which convolutions reach, 63; less what norms and sums
move through memory (2 GB a clip and pass), 50. With TF32 half as many. Sixteen cores at 72 ms a clip (measured on one
of another machine) decode 220 clips/s of 320 × 240 and 49 of 1280 × 720: the GPU decides for small files, the decoder
for large ones. Measured on 16 cores of such a machine, the decoder of small files is less than half as fast.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL

from artv.autoencoder import encode_frames, paper_autoencoder, to_unit
from artv.data.clips import ClipFiles, WholeClips, batches
from artv.data.loading import readers
from artv.data.shapes import ShapesWorld
from artv.data.shard_index import CLIPS_A_SHARD
from artv.networks.fast.encoder import PRECISIONS, InferenceEncoder
from artv.presets import load_components
from artv.text_encoder import OpenClipTextEncoder
from artv.training.clips import FRAMES_AT_ONCE
from artv.training.config import load_config
from artv.video import write_video
from artv_eval.efficiency.cuda import _nvml, clocks
from artv_eval.efficiency.rows import versions

FPS, FRAMES = 25.0, 100
PARTS = ("decoder", "command", "encoder", "profile", "errors")


def make_clips(folder: Path, count: int, width: int = 320, height: int = 240) -> None:
    """A drifting texture each: about what a filmed clip costs its decoder."""
    if (folder / "captions.csv").exists():
        return
    folder.mkdir(parents=True)
    for k in range(8):
        coarse = np.random.default_rng(k).integers(0, 256, (height // 8, width // 8 + 16, 3), np.uint8)
        texture = coarse.repeat(8, 0).repeat(8, 1)
        frames = np.stack([texture[:, t : t + width] for t in range(FRAMES)])
        noise = np.random.default_rng(k).integers(0, 24, frames.shape, np.uint8)
        write_video(folder / f"{k}.mp4", frames // 2 + noise, FPS, crf=23)
    for i in range(count):
        os.link(folder / f"{i % 8}.mp4", folder / f"clip{i:05d}.mp4")
    lines = [f"clip{i:05d}.mp4,texture {i} that drifts" for i in range(count)]  # equal captions are encoded once
    (folder / "captions.csv").write_text("\n".join(["file,caption", *lines]) + "\n", encoding="utf-8")


def make_components(folder: Path, device: str) -> str:
    if folder.exists():
        return str(folder)
    with torch.device(device):
        parts = {"autoencoder": paper_autoencoder(), "text_encoder": OpenClipTextEncoder()}
    for name, module in parts.items():
        module.save_pretrained(folder / name)
    return str(folder)


def a_second(count: int, work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def decoder_alone(files: ClipFiles, few: int) -> float:
    """Clips a second of the first 512, workers' start left out."""
    chosen = range(min(512, len(files)))
    batch = iter(batches(WholeClips(files), [chosen[k : k + few] for k in chosen[::few]], torch.device("cpu")))
    for _ in range(min(4 * readers(), len(chosen) // (2 * few))):
        next(batch)
    started, done = time.perf_counter(), 0
    for frames, _, _ in batch:
        done += len(frames)
    return done / (time.perf_counter() - started)


@torch.no_grad()
def encoder_alone(
    components: str, num_frames: int, size: int, few: int, device: str, precisions: list[str]
) -> dict[str, float]:
    """Clips a second of frames that lie on the device, with their text: as diffusers does it, and by precision.

    ``few``: clips that are encoded at once.
    """
    autoencoder, text_encoder = (module.to(device) for module in load_components(components).values())
    frames = torch.randint(256, (few * num_frames, 3, size, size), dtype=torch.uint8, device=device)
    times = max(1, 64 // few) if device == "cuda" else 1
    texts = times * few
    captions = [f"texture {i} that drifts" for i in range(texts)]

    def encode(encoder: Callable[[torch.Tensor], torch.Tensor], products: torch.dtype | None, repeats: int) -> None:
        for _ in range(repeats):
            kept = text_encoder.encode(captions, products), *(encoder(frames) for _ in range(times))
        kept[-1].sum().item()

    encoders = {"diffusers": (partial(encode_frames, autoencoder), None)}
    for name in precisions:
        products = None if name == "fp32" else torch.float16
        encoders[name] = InferenceEncoder(autoencoder, PRECISIONS[name]), products
    rates = {}
    for name, given in encoders.items():
        encode(*given, 1)
        rates[name] = a_second(texts, partial(encode, *given, 1))
    return rates


@torch.no_grad()
def profile(components: str, num_frames: int, size: int, precision: str, file: Path) -> None:
    """Every kernel of a clip's encoder, longest first."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recorded

    encoder = InferenceEncoder(load_components(components)["autoencoder"].cuda(), PRECISIONS[precision])
    frames = torch.randint(256, (num_frames, 3, size, size), dtype=torch.uint8, device="cuda")
    for _ in range(3):
        encoder(frames)
    with recorded(activities=[ProfilerActivity.CUDA]) as record:
        encoder(frames)
        torch.cuda.synchronize()
    events = sorted(record.key_averages(), key=lambda e: -e.self_device_time_total)
    lines = [f"{e.self_device_time_total / 1e3:10.3f} ms {e.count:6d} × {e.key[:150]}" for e in events]
    total = sum(e.self_device_time_total for e in events) / 1e3
    file.write_text("\n".join([f"{total:10.3f} ms in all", *lines]) + "\n", encoding="utf-8")


@torch.no_grad()
def errors(autoencoder: AutoencoderKL, frames: torch.Tensor, precisions: list[str]) -> dict[str, float]:
    """Deviations from latents of float32, relative to theirs."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        exact = encode_frames(autoencoder, frames)
        noise = torch.rand(frames.shape, generator=torch.Generator().manual_seed(0)).to(frames.device) - 0.5
        dithered = (
            autoencoder.encode(to_unit(frames.float() + noise)).latent_dist.mode() * autoencoder.config.scaling_factor
        )
    found = {
        "half a grey level": dithered,
        "stored": exact.half().float(),
        "diffusers": encode_frames(autoencoder, frames),
    }
    found |= {name: InferenceEncoder(autoencoder, PRECISIONS[name])(frames) for name in precisions}
    return {name: ((latents - exact).std() / exact.std()).item() for name, latents in found.items()}


def all_errors(components: str, files: ClipFiles, device: str, precisions: list[str]) -> dict[str, dict[str, float]]:
    """Those of the encoder that is measured, on the clips, and of that of ``shapes``, on its world."""
    ours = torch.cat([files[i][0][::8] for i in range(4)]), load_components(components)["autoencoder"]
    world = ShapesWorld("test").batch(range(4)).frames[:, ::4].flatten(0, 1), load_components("shapes")["autoencoder"]
    return {
        name: errors(autoencoder.to(device), frames.to(device), precisions)
        for name, (frames, autoencoder) in {"measured": ours, "shapes": world}.items()
    }


def command(arguments: argparse.Namespace, components: str, precision: str) -> dict[str, Any]:
    """The command itself, and what NVML says about the GPU meanwhile."""
    shards = arguments.work / f"latents-{arguments.source}-{precision}"
    asked = ["data", "latents", "--preset", arguments.preset, "--data", str(arguments.work / arguments.source)]
    asked += ["--components", components, "--out", str(shards), "--device", arguments.device]
    asked += ["--precision", precision]
    watched = [sys.executable, "-m", "artv_eval.twins.child", str(os.getpid())]  # dies with this process
    handle, busy = _nvml() if arguments.device == "cuda" else None, []
    started = time.time()
    with (arguments.out / f"data_latents_{arguments.source}_{precision}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen([*watched, *asked], stdout=log, stderr=log)
        while process.poll() is None and time.time() - started < arguments.seconds:
            if len(list(shards.glob("*.tar"))) >= (arguments.shards or arguments.clips):
                break
            time.sleep(0.2)
            if handle is not None:
                import pynvml

                busy.append((time.time(), pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100))
        process.kill()
        process.wait()
    ended = sorted(file.stat().st_mtime for file in shards.glob("*.tar"))
    inside = [share for when, share in busy if ended and ended[0] < when < ended[-1]]
    steady = (len(ended) - 1) * CLIPS_A_SHARD / (ended[-1] - ended[0]) if len(ended) > 1 else None
    return {
        "clips_per_s": steady,
        "gpu_busy": mean(inside) if inside else None,
        "shards": len(ended),
        "first_shard_s": ended[0] - started if ended else None,
        "wall_s": time.time() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--work", type=Path, default=Path("data-latents"), help="clips, weights and shards")
    parser.add_argument("--preset", default="paper", choices=("paper", "shapes"))
    parser.add_argument("--source", default="320x240", help="width and height of the files")
    parser.add_argument("--clips", type=int, default=4 * CLIPS_A_SHARD, help="a multiple of a shard's")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="default: all, float16 first")
    parser.add_argument("--seconds", type=float, default=120, help="the longest that a command may run")
    parser.add_argument("--shards", type=int, help="of a command, which ends then; default: all")
    parser.add_argument("--only-make", action="store_true", help="the files and the encoders")
    arguments = parser.parse_args()
    for folder in (arguments.out, arguments.work):
        folder.mkdir(parents=True, exist_ok=True)
    config, device = load_config(arguments.preset), arguments.device
    precisions = arguments.precision or (["fp16", "fp32", "bf16"] if device == "cuda" else ["fp32"])
    make_clips(arguments.work / arguments.source, arguments.clips, *map(int, arguments.source.split("x")))
    parts, components = arguments.part or PARTS, "shapes"
    if arguments.preset == "paper" and set(parts) != {"decoder"}:
        components = make_components(arguments.work / "components", device)
    if arguments.only_make:
        return
    files = ClipFiles(arguments.work / arguments.source, config.num_frames, config.size, config.fps)
    few = max(1, FRAMES_AT_ONCE * 64**2 // (config.num_frames * config.size**2))
    record: dict[str, Any] = {"made_with": versions(device), "readers": readers(), "size": config.size}
    record |= {"source": arguments.source, "commands": {}}

    def note(**found: Any) -> None:
        record.update(found)
        file = arguments.out / f"data_latents_{arguments.source}.json"
        file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def commands(*some: str) -> None:
        for precision in some if "command" in parts else ():
            record["commands"][precision] = command(arguments, components, precision)
            note()

    if "decoder" in parts:
        note(decoder_alone_clips_per_s=decoder_alone(files, few))
    commands(precisions[0])
    if "encoder" in parts:
        rates = encoder_alone(components, config.num_frames, config.size, few, device, precisions)
        note(encoder_alone_clips_per_s=rates, clocks=clocks() if device == "cuda" else None)
    if "profile" in parts and device == "cuda":
        profile(components, config.num_frames, config.size, precisions[0], arguments.out / "profile-encoder.txt")
    if "errors" in parts:
        note(errors=all_errors(components, files, device, precisions))
    if device == "cuda":
        torch.cuda.empty_cache()
    commands(*precisions[1:])
    print(json.dumps(record))


if __name__ == "__main__":
    main()
