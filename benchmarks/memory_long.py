"""Does memory grow with a clip's length? Peak of a process of its own, by frames, for what is done frame by frame.

    python benchmarks/memory_long.py                              # 832 x 480; minutes on one core
    python benchmarks/memory_long.py --frames 100 200 --size 64x64

``write``: frames as a model gives them, into an mp4 (artv sample). ``measure``: a clip that is read in windows, under
quantities of every frame (curve:…). A process that does the same with 20 frames says what libraries take.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

QUANTITIES = ("change_mean", "sharpness", "motion", "frozen", "loops")


@cache
def texture(height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 3)."""
    y, x = np.ogrid[:height, :width]
    wave = np.sin(x / 9) + np.cos(y / 7)
    return np.stack([127 + 40 * wave, 127 + 30 * wave, 127 - 40 * wave], -1).astype(np.uint8)


def frame(i: int, height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 3): a texture that moves."""
    return np.roll(texture(height, width), (i, 3 * i), (0, 1))


class Frames:
    """A clip that is made where it is read: as long as asked for, and never there as a whole."""

    def __init__(self, count: int, height: int, width: int):
        self.shape = (count, height, width, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at):
        if isinstance(at, slice):
            return np.stack([self[i] for i in range(*at.indices(len(self)))])
        return frame(at, *self.shape[1:3])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))


def work(what: str, count: int, height: int, width: int) -> None:
    """One task, in this process."""
    clip = Frames(count, height, width)
    if what == "write":
        from artv.video import write_stream

        with tempfile.TemporaryDirectory() as folder:
            write_stream(Path(folder) / "clip.mp4", clip, 16.0)
        return
    from artv_eval.api import ClipRequest, GeneratedClip
    from artv_eval.metrics.curves import curve_of_clip
    from artv_eval.metrics.picture_curves import QUANTITIES as KNOWN

    request = ClipRequest(index=0, prompt="", seed=0, num_frames=count, height=height, width=width, fps=16.0)
    for name in QUANTITIES:
        curve_of_clip(KNOWN[name], request, GeneratedClip(clip))  # type: ignore[arg-type]


def measured(what: str, count: int, size: str) -> tuple[float, float]:
    """Peak memory in MB and seconds of a process that does it."""
    started = time.monotonic()
    found = subprocess.run(
        [sys.executable, __file__, "--work", what, "--frames", str(count), "--size", size],
        check=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    return float(found.stdout.split()[-1]) / 1024, time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 500, 2000])
    parser.add_argument("--size", default="832x480")
    parser.add_argument("--tasks", nargs="+", default=["write", "measure"])
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "memory_long.md")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    if args.work:
        work(args.work, args.frames[0], height, width)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    lines, rows = ["| task | frames | peak, MB | seconds |", "|---|---|---|---|"], []
    for what in args.tasks:
        for count in (20, *args.frames):
            peak, seconds = measured(what, count, args.size)
            rows.append({"task": what, "frames": count, "peak_mb": round(peak, 1), "seconds": round(seconds, 1)})
            lines.append(f"| {what} | {count} | {peak:.0f} | {seconds:.0f} |")
            print(lines[-1], flush=True)
    machine = f"{platform.processor() or platform.machine()} CPU"
    title = f"# Memory by the length of a clip\n\n`python benchmarks/memory_long.py --size {args.size} --tasks "
    title += f"{' '.join(args.tasks)}`, {machine}, "
    args.out.write_text(title + f"{time.strftime('%Y-%m-%d')}.\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    print(json.dumps({"benchmark": "memory_long", "size": args.size, "rows": rows}))


if __name__ == "__main__":
    main()
