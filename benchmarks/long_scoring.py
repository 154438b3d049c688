"""Are long clips scored as fast as they are decoded? Frames a second of decoding alone, and of scoring by each measure.

    python benchmarks/long_scoring.py --device cuda              # on a GPU; files of 832 × 480, made here
    python benchmarks/long_scoring.py --encoder shapes-clip --frames 80 --files 2 --size 208x120 --out /tmp/long.md

Encoders have random weights, which cost what trained ones do: pictures by CLIP ViT-B/32, or on a CPU by a small one;
clips by I3D, with ``--i3d``. Scoring decodes beside describing, as ``artv-eval score`` does; nothing is kept from one
run to the next. Decoding is timed before, between and after the measures, and its mean is what they are compared with;
``cores`` are those that the scoring process kept busy, without its decoders. A second table says what a frame costs,
part by part, in a thread that does nothing else. It needs PyAV, to write the files, and reads them with decord where
that is installed.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
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
from artv_eval.metrics.base import described
from artv_eval.metrics.clipsim import AnchorSimilarity
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.curves import CurveEvaluator
from artv_eval.metrics.device_views import FrameMeasure, device_views, walk
from artv_eval.metrics.frames import FlickerEvaluator, FrameFidEvaluator
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.picture_curves import QUANTITIES, consistency
from artv_eval.metrics.views import views

ALL = "all of these"
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

    def write(k: int) -> None:
        clip = (np.roll(texture, (i, (3 + k) * i), (0, 1)) for i in range(frames))
        write_stream(folder / f"{k}.mp4", clip, 16.0)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(files)))


def measures_of(clip: Any, i3d: bool, device: str) -> dict[str, list[Evaluator]]:
    """What a long clip is scored by, one after the other and together."""
    found: dict[str, list[Evaluator]] = {
        "consistency": [CurveEvaluator(consistency(clip))],
        "anchor_similarity": [AnchorSimilarity(clip)],
        "frame_fid": [FrameFidEvaluator(clip)],
        **{name: [curve(name, device=device)] for name in CURVES},
        "flicker": [FlickerEvaluator(device)],
    }
    if i3d:
        found["fvd"] = [FvdEvaluator(I3dFeatures(InceptionI3d(), "random", device=device))]
    return found | {ALL: [metric for each in found.values() for metric in each]}


def parts(measures: dict[str, list[Any]], device: str, made: Decoded) -> dict[str, float]:
    """Milliseconds a frame: reading decoded frames back and copying them to the device, and each measure there."""
    frames, place = made.shown, torch.device(device)
    T, height, width, _ = frames.shape
    request = ClipRequest(index=0, prompt="", seed=0, num_frames=T, height=height, width=width, fps=16.0)
    clips = ClipSet([request], lambda i: GeneratedClip(frames))
    kept = list(device_views(frames, place))

    def measured(one: FrameMeasure) -> None:
        one.row(request, torch.cat([one.measure(replace(view)) for view in kept]))

    works = {"reading": lambda: [None for _ in views(frames)]}
    works["reading, to the device"] = lambda: [None for _ in device_views(frames, place)]
    for name, (first, *more) in measures.items():
        if first.on_device is None:
            works[name] = lambda first=first: described(first, clips)
        elif not more:
            works[name] = lambda first=first: measured(first.on_device)
    together = {each.digest: each.on_device for each in measures[ALL] if each.on_device is not None}
    works["one walk, all measures"] = lambda: walk(together, request, frames, device)
    return {name: timed(work, device) / T * 1000 for name, work in works.items()}


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds, after it was done once."""
    for _ in range(2):
        started = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
    return time.perf_counter() - started


def rates(
    measures: dict[str, list[Evaluator]], files: list[Path], excerpt: Excerpt, decoders: Decoders
) -> dict[str, tuple[float, float]]:
    """Frames a second and busy cores of decoding and of scoring by each."""
    found: dict[str, tuple[float, float]] = {}
    decoded = []

    def decode() -> None:
        decoded.append(rate(lambda: [len(clip.shown) for clip in decoders.decode(files, excerpt)], files, excerpt))
        print(f"decoding: {decoded[-1][0]:.0f} frames/s", flush=True)

    decode()
    for k, (what, some) in enumerate(measures.items()):
        if k == len(measures) // 2:
            decode()
        found[what] = rate(partial(score, files, some, excerpt, decoders), files, excerpt)
        print(f"{what}: {found[what][0]:.0f} frames/s", flush=True)
    decode()
    return {"decoding": tuple(np.mean(decoded, axis=0))} | found


def score(files: list[Path], measures: list[Evaluator], excerpt: Excerpt, decoders: Decoders) -> None:
    """All of them by all."""
    found = describe_files(files, measures, excerpt, decoders=decoders)
    assert not found.bad and not found.failed, (found.bad, found.failed)


def rate(work: Callable[[], object], files: list[Path], excerpt: Excerpt) -> tuple[float, float]:
    """Frames a second, and how many cores this process kept busy."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    seconds = time.perf_counter() - started
    return len(files) * excerpt.frames / seconds, (time.process_time() - cpu) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--encoder", default="ViT-B-32", help="a model of open_clip, or shapes-clip")
    parser.add_argument("--i3d", action="store_true", help="FVD's features too")
    parser.add_argument("--only", nargs="*", help="measures to time")
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--source", type=Path, help="a folder of files made before, of that size, in their place")
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--size", default="832x480")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "long_scoring.md")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    clip, excerpt = encoder(args.encoder, args.device), Excerpt(frames=args.frames)
    measures = measures_of(clip, args.i3d, args.device)
    with tempfile.TemporaryDirectory() as name, Decoders(args.workers) as decoders:
        if args.source is None:
            write_files(Path(name), args.files, args.frames, height, width)
        files = video_files(args.source or name)[: args.files]
        # processes start, the files are in memory, networks are where they work
        used = {clip.reader for clip in decoders.decode(files, excerpt)}
        reader = "read by PyAV" + (", decord agreeing" if "decord" in used else "")
        score(files, measures[ALL], Excerpt(frames=min(args.frames, 80)), decoders)
        found = rates({what: measures[what] for what in args.only or reversed(measures)}, files, excerpt, decoders)
        ms = parts(measures, args.device, next(iter(decoders.decode(files, excerpt))))
    decoded = found["decoding"][0]
    lines = ["| what | frames/s | of decoding | cores |", "|---|---|---|---|"]
    lines += [f"| {what} | {each:.0f} | {each / decoded:.2f} | {busy:.1f} |" for what, (each, busy) in found.items()]
    lines += ["", "| part | ms a frame |", "|---|---|", *(f"| {name} | {value:.3f} |" for name, value in ms.items())]
    print("\n".join(lines), flush=True)
    where = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else platform.machine() + " CPU"
    title = f"# Scoring of long clips against decoding\n\n`python benchmarks/long_scoring.py --device {args.device} "
    title += f"--encoder {args.encoder} --files {args.files} --frames {args.frames} --size {args.size} --workers "
    title += f"{args.workers}{' --i3d' * args.i3d}`, {where}, torch {torch.__version__}, {reader}, "
    title += f"{time.strftime('%Y-%m-%d')}.\n\n"
    args.out.write_text(title + "\n".join(lines) + "\n", encoding="utf-8")
    print(json.dumps({"benchmark": "long_scoring", "frames_a_second": found, "ms_a_frame": ms}))


if __name__ == "__main__":
    main()
