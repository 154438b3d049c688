"""Scoring folders of videos, end to end: against cd-fvd on the same clips, weights and machine; memory; second scoring.

    pip install cd-fvd
    python benchmarks/scoring.py --clips 24 --size 256 --device cpu

The weights are random (the same file for both), so nothing is downloaded: time and agreement do not depend on them.
cd-fvd's own loader needs parts of torchvision that no longer exist, so it gets arrays that decord read, which costs it
no resizing; its numbers include that reading.

Prints a table, then one JSON line; --out writes both to files.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

FRAMES = 16


def make_clips(folder: Path, clips: int, size: int, seed: int) -> None:
    """H.264 files of moving textures."""
    folder.mkdir(parents=True)
    for k in range(clips):
        make_clip(folder / f"{k:04d}.mp4", size, (seed, k))


def make_clip(path: Path, size: int, seed: tuple[int, ...]) -> None:
    """An H.264 file of a texture that moves sideways."""
    from artv.video import write_video

    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 256, (size // 8, size // 8 + FRAMES, 3), np.uint8)
    wide = texture.repeat(8, 0).repeat(8, 1)
    step = int(rng.integers(1, 6))
    write_video(path, np.stack([wide[:, t * step : t * step + size] for t in range(FRAMES)]), 8.0)


def make_weights(path: Path) -> None:
    """Random I3D weights with running statistics that let signals through."""
    from artv_eval.features.i3d import InceptionI3d

    torch.manual_seed(0)
    network = InceptionI3d()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), path)


def ours(real: Path, fake: Path, weights: Path, cache: Path, device: str, resamples: int) -> tuple[float, float]:
    """Seconds and FVD."""
    from artv_eval.files.decoding import Excerpt
    from artv_eval.files.score import score_folders

    start = time.monotonic()
    evaluator = _evaluator(weights, device)
    (row,) = score_folders(real, fake, [evaluator], Excerpt(frames=FRAMES), cache=cache, resamples=resamples).rows
    assert row.value is not None, row.status
    return time.monotonic() - start, row.value


def _evaluator(weights: Path, device: str) -> Any:
    from artv_eval.features.i3d import i3d
    from artv_eval.metrics.fvd import FvdEvaluator

    return FvdEvaluator(i3d(str(weights), device=device), ddof=0)  # cd-fvd divides by n


def theirs(real: Path, fake: Path, weights: Path, device: str) -> tuple[float, float]:
    """Seconds and FVD of cd-fvd."""
    fvd = cd_fvd()
    from artv.data.readers import read_video

    start = time.monotonic()
    arrays = [np.stack([read_video(f, limit=FRAMES) for f in sorted(side.glob("*.mp4"))]) for side in (real, fake)]
    value = float(fvd.cdfvd("i3d", ckpt_path=str(weights), device=device).compute_fvd(*arrays))
    return time.monotonic() - start, value


def cd_fvd() -> Any:
    """cd-fvd's module. Newer SciPy's ``sqrtm`` has no ``disp``, which cd-fvd 0.1.1 passes: it is taken off."""
    import inspect

    import scipy.linalg
    from cdfvd import fvd

    plain = scipy.linalg.sqrtm
    if "disp" not in inspect.signature(plain).parameters:
        scipy.linalg.sqrtm = lambda a, disp=True: plain(a) if disp else (plain(a), 0.0)
    return fvd


def interval_time() -> float:
    """Seconds of an interval of FVD: 1,000 resamples of 2048 × 400 features."""
    from artv_eval.metrics.fvd import FvdEvaluator
    from artv_eval.metrics.statistics import bootstrap_interval

    class Named:
        name, digest, dim = "gaussian", "0", 400

    x, y = np.random.default_rng(0).normal(size=(2, 2048, 400)).astype(np.float32)
    start = time.monotonic()
    bootstrap_interval(FvdEvaluator(Named()), x, y, resamples=1000)
    return time.monotonic() - start


def peak_mib(code: str) -> float:
    """Peak resident MiB of a Python process that runs ``code``."""
    code += "\nprint(next(line for line in open('/proc/self/status') if 'VmHWM' in line).split()[1])\n"
    return (
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8").stdout)
        / 1024
    )


def memory(folder: Path, clips: int) -> float:
    """Peak MiB of a process that describes ``clips`` files with an extractor that costs nothing."""
    return peak_mib(
        "from artv_eval.files.decoding import Excerpt\nfrom artv_eval.files.describe import describe_files, "
        "video_files\nfrom artv_eval.metrics.fvd import FvdEvaluator\n"
        "class Means:\n    name, digest, dim = 'means', '0', 3\n"
        "    def __call__(self, x):\n        return x.float().mean((1, 3, 4))\n"
        f"files = video_files({str(folder)!r})\nfiles = (files * {clips})[:{clips}]\n"
        "describe_files(files, [FvdEvaluator(Means())], Excerpt(frames=16), workers=2)"
    )


def decoder_memory(folder: Path) -> float:
    """Peak MiB of a decoding process."""
    return peak_mib(
        "from pathlib import Path\nfrom artv_eval.files.decoding import Excerpt, decode\n"
        f"sum(1 for _ in decode(sorted(Path({str(folder)!r}).iterdir()), Excerpt(frames=16), workers=0))"
    )


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=24, help="in each folder")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--memory",
        default="200,2000",
        help="numbers of clips to compare the peak memory at, with an extractor that costs nothing",
    )
    parser.add_argument("--out", type=Path, help="folder for scoring_DEVICE.md and .json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for side, seed in (("real", 0), ("fake", 1)):
            make_clips(root / side, args.clips, args.size, seed)
        make_weights(root / "i3d.pt")
        places = (root / "real", root / "fake", root / "i3d.pt")
        seconds, value = ours(*places, root / "cache", args.device, 1000)
        again, same = ours(*places, root / "cache", args.device, 1000)
        assert same == value
        peer_seconds, peer_value = theirs(*places, args.device)
        interval_seconds = interval_time()
        decoder = decoder_memory(root / "real")
        peaks = {n: memory(root / "real", n) for n in map(int, args.memory.split(","))}
    record = {
        "theme": "scoring two folders with I3D FVD, end to end",
        "command": f"python benchmarks/scoring.py --clips {args.clips} --size {args.size} --device {args.device}",
        "hardware": torch.cuda.get_device_name()
        if args.device == "cuda"
        else f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "clips": 2 * args.clips,
        "seconds_interval_1000_resamples_2048x400": round(interval_seconds, 1),
        "seconds": round(seconds, 1),
        "seconds_second_scoring": round(again, 1),
        "seconds_cd_fvd": round(peer_seconds, 1),
        "ratio": round(peer_seconds / seconds, 2),
        "fvd": value,
        "fvd_cd_fvd": peer_value,
        "relative_difference": abs(value / peer_value - 1),
        "peak_mib_of_each_decoder": round(decoder),
        "peak_mib_by_clips": {n: round(peak) for n, peak in peaks.items()},
    }
    shown = "\n".join(
        ["| what | value |", "|---|---|", *(f"| {k.replace('_', ' ')} | {v} |" for k, v in record.items())]
    )
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / f"scoring_{args.device}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (args.out / f"scoring_{args.device}.md").write_text(f"# Scoring, end to end\n\n{shown}\n", encoding="utf-8")
    print(shown)
    print(json.dumps(record))


if __name__ == "__main__":
    main()
