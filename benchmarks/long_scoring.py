"""Are long clips scored as fast as they are decoded? Frames a second of decoding alone, and of scoring by each measure.

    python benchmarks/long_scoring.py --device cuda              # on a GPU; files of 832 × 480, made here
    python benchmarks/long_scoring.py --encoder shapes-clip --frames 80 --files 2 --size 208x120 --out /tmp/long.md

Encoders have random weights, which cost what trained ones do: pictures by CLIP ViT-B/32, or on a CPU by a small one;
clips by I3D, with ``--i3d``. Scoring decodes beside describing, as ``artv-eval score`` does; nothing is kept from one
run to the next. A second table says what one frame costs part by part, in a thread that does nothing else. It needs
PyAV, to write the files, and reads them with decord where that is installed.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from artv.video import write_stream
from artv_eval.api import ClipRequest, ClipSet, Evaluator, GeneratedClip
from artv_eval.features.clip import OpenClip
from artv_eval.features.i3d import I3dFeatures, InceptionI3d
from artv_eval.features.shapes import shapes_clip
from artv_eval.files.decoding import Decoded, Decoders, Excerpt
from artv_eval.files.describe import describe_files, video_files
from artv_eval.metrics.clipsim import AnchorSimilarity
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.curves import CurveEvaluator
from artv_eval.metrics.frames import FlickerEvaluator, FrameFidEvaluator
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.picture_curves import QUANTITIES, consistency
from artv_eval.metrics.views import GPU_VALUES, views

CURVES = ("sharpness/vde_even", *(name for name in QUANTITIES if name != "sharpness"))


def encoder(name: str, device: str) -> Any:
    """A model of open_clip with random weights, or the small one of the package."""
    if name == "shapes-clip":
        return shapes_clip(device=device)
    import open_clip

    network = open_clip.create_model(name, pretrained=None)
    return OpenClip(network, open_clip.get_tokenizer(name), "random-clip", "random", device)


def write_files(folder: Path, files: int, frames: int, height: int, width: int) -> None:
    """mp4 files of textures that move."""
    y, x = np.ogrid[:height, :width]
    wave = np.sin(x / 9) + np.cos(y / 7)
    texture = np.stack([127 + 40 * wave, 127 + 30 * wave, 127 - 40 * wave], -1).astype(np.uint8)
    for k in range(files):
        clip = (np.roll(texture, (i, (3 + k) * i), (0, 1)) for i in range(frames))
        write_stream(folder / f"{k}.mp4", clip, 16.0)


def measures_of(clip: Any, i3d: bool, device: str) -> dict[str, list[Evaluator]]:
    """What a long clip is scored by, one after the other and together."""
    found: dict[str, list[Evaluator]] = {
        "consistency": [CurveEvaluator(consistency(clip))],
        "anchor_similarity": [AnchorSimilarity(clip)],
        "frame_fid": [FrameFidEvaluator(clip)],
        **{name: [curve(name)] for name in CURVES},
        "flicker": [FlickerEvaluator()],
    }
    if i3d:
        found["fvd"] = [FvdEvaluator(I3dFeatures(InceptionI3d(), "random", device=device))]
    return found | {"all of these": [metric for each in found.values() for metric in each]}


def parts(measures: dict[str, list[Evaluator]], clip: Any, made: Decoded) -> dict[str, float]:
    """Milliseconds a frame: reading decoded frames back, pictures and network of the encoder, each measure."""
    frames = made.shown
    T, height, width, _ = frames.shape
    request = ClipRequest(index=0, prompt="", seed=0, num_frames=T, height=height, width=width, fps=16.0)
    clips = ClipSet([request], lambda i: GeneratedClip(frames))
    works = {"reading": lambda: [None for _ in views(frames)]}
    if hasattr(clip, "pictures"):
        some = next(views(frames, GPU_VALUES)).frames
        x = torch.from_numpy(np.ascontiguousarray(some)).permute(0, 3, 1, 2)
        works["to the device"] = lambda: [x.to(clip.device) for _ in range(T // len(x))]
        on = x.to(clip.device)
        works["pictures of the encoder"] = lambda: [clip.pictures(on) for _ in range(T // len(x))]
    works |= {name: lambda each=each: each[0].describe(clips) for name, each in measures.items() if len(each) == 1}
    return {name: timed(work, clip.device) / T * 1000 for name, work in works.items()}


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds, after it was done once."""
    for _ in range(2):
        started = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--encoder", default="ViT-B-32", help="a model of open_clip, or shapes-clip")
    parser.add_argument("--i3d", action="store_true", help="FVD's features too")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--size", default="832x480")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "long_scoring.md")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    clip, excerpt = encoder(args.encoder, args.device), Excerpt(frames=args.frames)
    measures = measures_of(clip, args.i3d, args.device)
    lines, rates = ["| what | frames/s | of decoding |", "|---|---|---|"], {}
    with tempfile.TemporaryDirectory() as name, Decoders(args.workers) as decoders:
        write_files(Path(name), args.files, args.frames, height, width)
        files = video_files(name)
        # processes start, the files are in memory, networks are where they work
        reader = "read by " + " and ".join({clip.reader for clip in decoders.decode(files, excerpt)})
        describe_files(files, measures["all of these"], Excerpt(frames=min(args.frames, 80)), decoders=decoders)
        for what in ("decoding", *measures):
            started = time.perf_counter()
            if what == "decoding":
                for _ in decoders.decode(files, excerpt):
                    pass
            else:
                describe_files(files, measures[what], excerpt, decoders=decoders)
            rates[what] = args.files * args.frames / (time.perf_counter() - started)
            lines.append(f"| {what} | {rates[what]:.0f} | {rates[what] / rates['decoding']:.2f} |")
            print(lines[-1], flush=True)
        ms = parts(measures, clip, next(iter(decoders.decode(files, excerpt))))
    lines += ["", "| part | ms a frame |", "|---|---|", *(f"| {name} | {value:.2f} |" for name, value in ms.items())]
    print("\n".join(lines[-len(ms) :]), flush=True)
    where = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else platform.machine() + " CPU"
    title = f"# Scoring of long clips against decoding\n\n`python benchmarks/long_scoring.py --device {args.device} "
    title += f"--encoder {args.encoder} --files {args.files} --frames {args.frames} --size {args.size} --workers "
    title += f"{args.workers}{' --i3d' * args.i3d}`, {where}, torch {torch.__version__}, {reader}, "
    title += f"{time.strftime('%Y-%m-%d')}.\n\n"
    args.out.write_text(title + "\n".join(lines) + "\n", encoding="utf-8")
    print(json.dumps({"benchmark": "long_scoring", "frames_a_second": rates, "ms_a_frame": ms}))


if __name__ == "__main__":
    main()
