"""How fast ``artv data latents`` makes latents of mp4 files, beside its decoder alone and its encoder alone.

    python benchmarks/data_latents.py --out results --work /tmp/work                        # one GPU
    python benchmarks/data_latents.py --preset shapes --clips 40 --device cpu --work …      # a rehearsal

Clips are 320 × 240 at 25 fps, four seconds, H.264: eight of them under many names. Encoders have random weights of full
size. Clips a second of the command are those between its first and its last shard; the GPU's busy share is NVML's over
the same time. Writes ``data_latents.json`` as it goes.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from artv.autoencoder import encode_frames, paper_autoencoder
from artv.data.clips import ClipFiles, WholeClips, batches
from artv.data.loading import readers
from artv.data.shard_index import CLIPS_A_SHARD
from artv.presets import load_components
from artv.text_encoder import OpenClipTextEncoder
from artv.training.config import load_config
from artv.video import write_video
from artv_eval.efficiency.cuda import _nvml, clocks
from artv_eval.efficiency.rows import versions

HEIGHT, WIDTH, FPS, FRAMES = 240, 320, 25.0, 100


def make_clips(folder: Path, count: int) -> None:
    """A drifting texture each: about what a filmed clip costs its decoder."""
    folder.mkdir(parents=True)
    for k in range(8):
        coarse = np.random.default_rng(k).integers(0, 256, (HEIGHT // 8, WIDTH // 8 + 16, 3), np.uint8)
        texture = coarse.repeat(8, 0).repeat(8, 1)
        frames = np.stack([texture[:, t : t + WIDTH] for t in range(FRAMES)])
        noise = np.random.default_rng(k).integers(0, 24, frames.shape, np.uint8)
        write_video(folder / f"{k}.mp4", frames // 2 + noise, FPS, crf=23)
    for i in range(count):
        os.link(folder / f"{i % 8}.mp4", folder / f"clip{i:05d}.mp4")
    lines = [f"clip{i:05d}.mp4,a texture that drifts" for i in range(count)]
    (folder / "captions.csv").write_text("\n".join(["file,caption", *lines]) + "\n", encoding="utf-8")


def make_components(folder: Path, device: str) -> str:
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
    """Clips a second, workers' start left out."""
    chosen = range(len(files))
    batch = iter(batches(WholeClips(files), [chosen[k : k + few] for k in chosen[::few]], torch.device("cpu")))
    for _ in range(min(4 * readers(), len(files) // (2 * few))):
        next(batch)
    started, done = time.perf_counter(), 0
    for frames, _, _ in batch:
        done += len(frames)
    return done / (time.perf_counter() - started)


@torch.no_grad()
def encoder_alone(components: str, num_frames: int, size: int, few: int, device: str) -> float:
    """Clips a second of frames that lie on the device, with their text."""
    autoencoder, text_encoder = (module.to(device) for module in load_components(components).values())
    frames = torch.randint(256, (few * num_frames, 3, size, size), dtype=torch.uint8, device=device)
    repeats = 100 // few if device == "cuda" else 1

    def encode() -> None:
        for _ in range(repeats):
            kept = encode_frames(autoencoder, frames), text_encoder.encode(["a texture that drifts"] * few)
        kept[0].sum().item()

    encode()
    return a_second(repeats * few, encode)


def command(arguments: argparse.Namespace, components: str) -> dict[str, Any]:
    """The command itself, and what NVML says about the GPU meanwhile."""
    shards = arguments.work / "latents"
    asked = ["data", "latents", "--preset", arguments.preset, "--data", str(arguments.work / "clips")]
    asked += ["--components", components, "--out", str(shards), "--device", arguments.device]
    watched = [sys.executable, "-m", "artv_eval.twins.child", str(os.getpid())]  # dies with this process
    handle, busy = _nvml() if arguments.device == "cuda" else None, []
    started = time.time()
    with (arguments.out / "data_latents.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen([*watched, *asked], stdout=log, stderr=log)
        while process.poll() is None and time.time() - started < arguments.seconds:
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
    parser.add_argument("--work", type=Path, default=Path("data-latents"), help="clips, weights and shards; new")
    parser.add_argument("--preset", default="paper", choices=("paper", "shapes"))
    parser.add_argument("--clips", type=int, default=3 * CLIPS_A_SHARD, help="a multiple of a shard's")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--seconds", type=float, default=120, help="the longest that the command may run")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    config = load_config(arguments.preset)
    few = max(1, 512 * 64**2 // (config.num_frames * config.size**2))
    make_clips(arguments.work / "clips", arguments.clips)
    paper = arguments.preset == "paper"
    components = make_components(arguments.work / "components", arguments.device) if paper else "shapes"
    files = ClipFiles(arguments.work / "clips", config.num_frames, config.size, config.fps)
    record: dict[str, Any] = {"made_with": versions(arguments.device), "readers": readers(), "size": config.size}

    def note(**found: Any) -> None:
        record.update(found)
        (arguments.out / "data_latents.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    note(decoder_alone_clips_per_s=decoder_alone(files, few))
    alone = encoder_alone(components, config.num_frames, config.size, few, arguments.device)
    note(encoder_alone_clips_per_s=alone)
    if arguments.device == "cuda":
        note(clocks=clocks())
        torch.cuda.empty_cache()
    note(command=command(arguments, components))
    print(json.dumps(record))


if __name__ == "__main__":
    main()
