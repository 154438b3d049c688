"""Does memory grow with a clip's length? Peak of each command in a process of its own, by frames.

    python benchmarks/memory_long.py                              # half an hour on one core
    python benchmarks/memory_long.py --tasks sweep --cases --large 2x1000 64x1000 --processes 16 --out set.md
    python benchmarks/memory_long.py --tasks i3d --cases --large 1x100 1x1000 --out i3d.md
    python benchmarks/memory_long.py --cases 2x100 2x300 --size 64x64 --out /tmp/memory.md

``write``: frames as a model gives them, into an mp4 (artv sample). ``sweep``: makes, stores, describes and shows clips
of a method that streams (``plugins/textured.py``) under metrics of frames, masks too, previews in the report.
``--processes`` of a set share its clips.
``score``: the same metrics of mp4 files; ``score_made``: of files whose frames are made where they are read, so that no
codec is needed and none takes time. ``i3d``: features of I3D with random weights, the network's own memory with
them. A case is CLIPSxFRAMES. 20 frames say what the libraries take. Peaks are of the largest process, and of all of a
command's together, sampled: PSS, to which a page counts once however many processes have it, and less if others
than these do.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from memory_cpu import family

HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"
sys.path.insert(0, str(PLUGINS))

METRICS = "curve:sharpness/delta_abs,curve:motion,curve:loops,drift,flicker,contrast_drift"
CARD = """\
name: memory@1
title: Clips of any length
source: benchmarks/memory_long.py
prompts: {{dataset: file, split: all, text: caption, number: 64}}
frames: {{number: 100, fps: 16, height: {height}, width: {width}}}
first_frame: false
reference: {{dataset: none, split: all}}
features: {{extractor: i3d}}
metrics: [drift]
"""


class Frames:
    """A clip that is made where it is read: as long as asked for, and never there as a whole."""

    def __init__(self, count: int, height: int, width: int):
        self.shape = (count, height, width, 3)

    def __iter__(self) -> Iterator[np.ndarray]:
        from textured import frame

        return (frame(i, *self.shape[1:3]) for i in range(self.shape[0]))


def write(folder: Path, clips: int, count: int, height: int, width: int) -> None:
    """mp4 files, by this process."""
    from artv.video import write_stream

    for i in range(clips):
        write_stream(folder / f"{i}.mp4", Frames(count, height, width), 16.0)


def describe_by_i3d(folder: Path, clips: int, count: int, height: int, width: int) -> None:
    """FVD's rows of clips that are made where they are read, by this process."""
    import torch
    from textured import frame

    from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
    from artv_eval.features.i3d import I3dFeatures, InceptionI3d
    from artv_eval.metrics.fvd import FvdEvaluator
    from artv_eval.results.clips import StoredArray

    def read(start: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.stack([frame(start + i, height, width) for i in range(shape[0])])

    torch.manual_seed(0)
    request = ClipRequest(index=0, prompt="", seed=0, num_frames=count, height=height, width=width, fps=16.0)
    made = StoredArray(read, range(count), (count, height, width, 3), np.uint8)
    metric = FvdEvaluator(I3dFeatures(InceptionI3d(), "random"))
    metric.describe(ClipSet([request] * clips, lambda i: GeneratedClip(made)))


HERE_DONE = {"write": write, "i3d": describe_by_i3d}


def command(
    what: str, folder: Path, clips: int, count: int, size: str, processes: int = 1, device: str = "cpu"
) -> list[str]:
    """The command line of a task; what it needs is made in ``folder``."""
    width, height = (int(side) for side in size.split("x"))
    if what in HERE_DONE:
        here = ["--tasks", what, "--work", str(folder), "--cases", f"{clips}x{count}", "--size", size]
        return [sys.executable, __file__, *here]
    evaluate = [sys.executable, "-m", "artv_eval", "--plugins-dir", str(PLUGINS)]
    if what in ("score", "score_made"):
        (folder / "cache").mkdir()
        own = ["--fake", str(folder), "--frames", str(count), "--metrics", METRICS, "--device", device]
        if what == "score_made":
            for i in range(clips):
                (folder / f"{i}.avi").write_text(f"{count} {height} {width} of clip {i}", encoding="utf-8")
            return [*evaluate, "score", *own, "--reader", "textured"]
        subprocess.run(command("write", folder, clips, count, size), check=True)
        return [*evaluate, "score", *own]
    (folder / "card.yaml").write_text(CARD.format(height=height, width=width), encoding="utf-8")
    (folder / "prompts.txt").write_text("\n".join(f"clip {i}" for i in range(clips)), encoding="utf-8")
    what_of = ["--protocol", str(folder / "card.yaml"), "--prompts", str(folder / "prompts.txt")]
    how_many = ["--num-videos", str(clips), "--frames", str(count), "--metrics", METRICS, "--batch-size", "4"]
    how_many += ["--device", device]
    several = ["--executor", "gpus", "--set", f"executor.processes={min(processes, clips)}"]
    how_many += several if min(processes, clips) > 1 else ["--executor", "serial"]
    return [*evaluate, "sweep", "--ablation", "textured", *what_of, *how_many, "--out", str(folder / "run")]


def together(pid: int) -> float:
    """MB of a process and its descendants now, pages that they share counted once."""
    found = 0
    for one in family(pid):
        with suppress(OSError, StopIteration):  # it has ended
            lines = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf-8").splitlines()
            found += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return found / 1024


@contextmanager
def watched(pid: int, every: float = 0.1) -> Iterator[list[float]]:
    """What :func:`together` is at its most while the block runs, as the one number of the list."""
    most, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(every):
            most[0] = max(most[0], together(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def measured(what: str, clips: int, count: int, size: str, processes: int, device: str) -> tuple[float, float, float]:
    """Peak memory in MB, of the largest of its processes and of all together, and seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        line, started = command(what, folder, clips, count, size, processes, device), time.monotonic()
        with (folder / "log").open("wb") as log:
            paths = os.pathsep.join([str(PLUGINS), *filter(None, [os.environ.get("PYTHONPATH")])])
            env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": paths}
            process = subprocess.Popen(line, stdout=log, stderr=log, env=env)
            with watched(process.pid) as most:
                _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{what} failed: {(folder / 'log').read_text(encoding='utf-8', errors='replace')[-2000:]}")
        return used.ru_maxrss / 1024, most[0], time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", default=["2x100", "2x500", "2x1000", "2x2000", "64x100"])
    parser.add_argument("--size", default="416x240")
    parser.add_argument("--large", nargs="*", default=["2x1000"], help="cases at --large-size")
    parser.add_argument("--large-size", default="832x480")
    parser.add_argument("--tasks", nargs="+", default=["write", "sweep", "score"])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="where sweep, score and score_made describe")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "memory_long.md")
    args = parser.parse_args()
    if args.work:
        clips, count = (int(number) for number in args.cases[0].split("x"))
        width, height = (int(side) for side in args.size.split("x"))
        HERE_DONE[args.tasks[0]](Path(args.work), clips, count, height, width)
        return
    given = " ".join(["python", "benchmarks/memory_long.py", *sys.argv[1:]]).split(" --out")[0]
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {args.device}"
    lines = ["# Memory by the length of a clip", "", f"`{given}`, {machine}, {time.strftime('%Y-%m-%d')}."]
    lines += [f"Metrics: {METRICS.replace(',', ', ')}.", ""]
    lines += ["| task | size | clips | frames | processes | largest, MB | together, MB | seconds |", "|" + "---|" * 8]
    rows = []
    for what in args.tasks:
        small = ["2x20", *args.cases] if args.cases else []
        for size, cases in ((args.size, small), (args.large_size, args.large)):
            for case in cases:
                clips, count = (int(number) for number in case.split("x"))
                peak, most, seconds = measured(what, clips, count, size, args.processes, args.device)
                row = {"task": what, "size": size, "clips": clips, "frames": count, "processes": args.processes}
                rows.append(row | {"peak_mb": round(peak, 1), "together_mb": round(most, 1)})
                lines.append(f"| {' | '.join(map(str, row.values()))} | {peak:.0f} | {most:.0f} | {seconds:.0f} |")
                print(lines[-1], flush=True)
                args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")  # as it grows: a call may be cut off
    print(json.dumps({"benchmark": "memory_long", "rows": rows}))


if __name__ == "__main__":
    main()
