"""Memory on a CPU: of a long stream over its frames, and of the quickstart's sweep with all its processes.

    OMP_NUM_THREADS=1 python benchmarks/memory_cpu.py --frames 1000 --steps 2

Linux only: resident memory is read from /proc. Prints a table and one JSON line.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 2**20
AT = (1, 10, 100, 200, 500, 1000, 2000, 5000, 10000)


def resident(pid: int | str = "self") -> float:
    """MiB in memory now; 0 for a process that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB
    except OSError:
        return 0.0


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    try:
        lines = [task.joinpath("children").read_text(encoding="utf-8") for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return [pid]
    return [pid, *(one for line in lines for child in line.split() for one in family(int(child)))]


def stream(frames: int, steps: int) -> dict[int, float]:
    """Frame → MiB resident after it."""
    from artv import ArtVPipeline  # what takes `family` alone stays small

    pipe = ArtVPipeline.from_pretrained("shapes")
    made = pipe.stream("a red circle moves left", num_frames=frames, steps=steps, seed=0)
    return {i: round(resident(), 1) for i, _ in enumerate(made, start=1) if i in AT or i == frames}


def sweep() -> float:
    """Peak MiB of ``artv-eval sweep --ablation mask`` in an empty folder, summed over its processes every 0.1 s."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "artv_eval", "sweep", "--ablation", "mask", "--format", "json"]
        started = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        peak = 0.0
        while started.poll() is None:
            peak = max(peak, sum(map(resident, family(started.pid))))
            time.sleep(0.1)
        assert started.returncode == 0, f"the sweep ended with {started.returncode}"
    return round(peak, 1)


def main() -> None:
    """Both, and a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=2)
    args = parser.parse_args()
    peak = sweep()
    found = stream(args.frames, args.steps)
    print("| | MiB |\n|---|---:|")
    print(f"| default sweep, peak | {peak:.0f} |")
    for frame, mib in found.items():
        print(f"| stream, after frame {frame} | {mib:.1f} |")
    print(json.dumps({"sweep_peak_mib": peak, "stream_mib": found}))


if __name__ == "__main__":
    main()
