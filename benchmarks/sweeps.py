"""Large sweeps and rough treatment: plans, stores, kills, full disks, many processes, Ray against one process.

    uv run python benchmarks/sweeps.py plan store kills trainings processes disk overhead ray

Each name is a scenario of at most three minutes, ``trainings`` of eight; its figures go into ``results/sweeps.json``,
and all that are there into ``results/sweeps.md``. Clips are of the packaged shapes model, short (4 frames, 2 or 3
steps), or of a method that waits instead of computing. Where processes are killed, the model waits too (``WAIT``
seconds a clip, no part of a cell's id), so that kills find it at work however fast the machine is.
"""

import argparse
import inspect
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sweep_processes import EVAL, PLUGIN, begun, clips, compared, finish, start, sweep
from trainings_killed import trainings

RESULTS = Path(__file__).parent / "results"


def plan(folder: Path) -> dict[str, Any]:
    """10,000 cells of 2,048 clips: planned and listed, where Python has compiled its modules before."""

    def planned(count: int) -> tuple[str, float, float]:
        """What it printed, seconds on the clock and of the processor."""
        values = ",".join(f"{k / 100}" for k in range(1, count + 1))
        grid = ["--grid", f"three_term.text={values}", "--grid", f"three_term.ref={values}"]
        command = [*EVAL, "plan", "show", *grid, "--no-probe", "--num-videos", "2048", "--metrics", "drift"]
        started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (
            done.stdout, time.monotonic() - started,
            used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        )  # fmt: skip

    planned(2)  # which compiles
    _, _, least = planned(2)
    printed, seconds, used = planned(100)
    lines = [line for line in printed.splitlines() if "2048 clips to make" in line and "(artv)" in line]
    return {
        "cells": len(lines), "clips": 2048 * len(lines), "seconds": round(seconds, 1),
        "cpu_seconds": round(used, 1), "cpu_seconds_of_4_cells": round(least, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }  # fmt: skip


def store(folder: Path) -> dict[str, Any]:
    """A million clips: names that lead to a few files, since it is entries and not bytes that an index is about."""
    from artv_eval.results.shared_store import SharedStore
    from artv_eval.results.store import RunStore

    cells, each = 500, 2000
    run = RunStore(folder / "run", shared=SharedStore(folder / "store"))
    assert run.shared is not None
    run.shared.begin(run.root)
    from artv_eval.api import GeneratedClip

    for k in range(cells):
        cell = f"{k:016x}"
        run.shared.refer(run.root, "clips", cell, "00000000")
        run.save_clip(cell, 0, GeneratedClip(np.full((2, 4, 4, 3), k % 256, np.uint8)))
        first = run.clip_path(cell, 0)
        for index in range(1, each):
            os.link(first, run.clip_path(cell, index))

    def opened() -> tuple[float, float]:
        """Seconds on the clock and of the processor."""
        started, used = time.monotonic(), time.process_time()
        fresh = RunStore(folder / "run", shared=SharedStore(folder / "store"))
        assert not any(fresh.missing(f"{k:016x}", range(each)) for k in range(cells))
        return round(time.monotonic() - started, 1), round(time.process_time() - used, 1)

    without, (seconds, used) = opened(), opened()
    size = (folder / "store" / "index.sqlite").stat().st_size
    (folder / "store" / "index.sqlite").write_bytes(b"damaged" * 100)
    return {
        "clips": cells * each, "seconds": seconds, "cpu_seconds": used, "first_time_cpu_seconds": without[1],
        "damaged_index_cpu_seconds": opened()[1], "index_mb": round(size / 1e6),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip


def kills(folder: Path) -> dict[str, Any]:
    """kill −9 of a serial sweep at 20 random instants, in a new run folder whenever one is finished."""
    started = time.monotonic()
    took = finish(sweep(folder, videos=8, out="a/run"), folder)
    draw, hit, runs = random.Random(0), 0, ["b0"]
    while hit < 20 and time.monotonic() < started + 200:
        victim = start(sweep(folder, videos=8, out=f"{runs[-1]}/run"), folder, wait=0.05)
        time.sleep(draw.uniform(0.0, min(took, 8.0)))
        os.kill(victim.pid, signal.SIGKILL)
        if victim.wait().returncode == -signal.SIGKILL:
            hit += 1
        else:
            runs.append(f"b{len(runs)}")
    finish(sweep(folder, videos=8, out=f"{runs[-1]}/run"), folder)
    found = [compared(folder / "a/run", folder / f"{run}/run") for run in runs]
    return {
        "kills": hit, "run_folders": len(runs), "seconds": round(time.monotonic() - started),
        "same_as_undisturbed": all(item.pop("same_as_undisturbed") for item in found),
        **{key: sum(item[key] for item in found) for key in found[0]},
    }  # fmt: skip


def processes(folder: Path) -> dict[str, Any]:
    """4 processes on one store for a minute, two on each of two run folders."""
    command = sweep(folder, "--set", "waiting.seconds=0.1", videos=400, out="a/run", waiting=True)
    others = sweep(folder, "--set", "waiting.seconds=0.1", videos=400, out="a/other", waiting=True)
    started = time.monotonic()
    running = [
        subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        for words in (command, others, command, others)
    ]
    outputs = [process.communicate(timeout=600) for process in running]
    rows = [json.loads(out)["rows"] for out, _ in outputs]
    seconds = time.monotonic() - started
    finish(sweep(folder, "--set", "waiting.seconds=0", videos=400, out="b/run", waiting=True), folder)
    notes = [json.loads(line) for file in (folder / "a/store/made").glob("*") for line in file.open(encoding="utf-8")]
    made = sum(len(note["indices"]) for note in notes)
    plain = {key.partition("/")[2]: frames for key, frames in clips(folder / "b/run").items()}
    same = all(np.array_equal(frames, plain[key.partition("/")[2]]) for key, frames in clips(folder / "a/run").items())
    return {
        "processes": 4, "seconds": round(seconds, 1), "exit_codes": [process.returncode for process in running],
        "clips": 800, "made": made, "same_table": all(found == rows[0] for found in rows), "same_clips": same,
    }  # fmt: skip


def disk(folder: Path) -> dict[str, Any]:
    """The disk becomes full in mid-sweep; then there is space."""
    small = folder / "small"
    small.mkdir()
    finish(sweep(folder, videos=16, out="a/run"), folder)
    needed = sum(path.stat().st_size for path in (folder / "a/store/clips").rglob("*.npz"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={needed // 2 + 150_000}", "tmpfs", str(small)], check=True)
    try:
        done = start(sweep(folder, videos=16, out="small/run"), folder).wait()
        before = len(clips(small / "run"))
        subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
        finish(sweep(folder, videos=16, out="small/run"), folder)
        return {
            "exit_code": done.returncode, "said": done.stderr.strip().splitlines()[-1].replace(str(folder), "…"),
            "clips_before": before, **compared(folder / "a/run", small / "run"),
        }  # fmt: skip
    finally:
        subprocess.run(["umount", str(small)], check=False)


def overhead(folder: Path) -> dict[str, Any]:
    """Ray with one worker against one process: batches of 10 clips that each wait 0.1 s."""
    found: dict[str, list[float]] = {"serial": [], "ray": []}
    wait = ["--set", "waiting.seconds=0.1", "--batch-size", "10"]
    for k in range(2):
        for name, more in (("serial", []), ("ray", ["--executor", "ray", "--set", "executor.cpus=2"])):
            out = f"{name}-{k}/run"
            finish(sweep(folder, *wait, *more, videos=100, out=out, waiting=True), folder)
            notes = sorted((folder / f"{name}-{k}/store/clips").rglob("*.npz"), key=lambda path: path.stat().st_mtime)
            found[name].append(notes[-1].stat().st_mtime - notes[0].stat().st_mtime)
    best = {name: min(values) for name, values in found.items()}
    return {
        "clips": 200, "serial_seconds": round(best["serial"], 2), "ray_seconds": round(best["ray"], 2),
        "overhead_percent": round(100 * (best["ray"] / best["serial"] - 1), 2),
    }  # fmt: skip


def ray(folder: Path) -> dict[str, Any]:
    """A cluster of 2 workers: one killed every 10 s for a minute, then the driver, which is started again."""
    small = ("--batch-size", "1")
    finish(sweep(folder, *small, videos=20, out="a/run"), folder)
    command = sweep(folder, *small, "--executor", "ray", videos=20, out="b/run")
    killed, until = 0, time.monotonic() + 60
    with begun(command, folder, wait=2.5) as driver:
        while time.monotonic() < until and driver.poll() is None:
            time.sleep(10)
            if workers := _workers(driver.pid):
                os.kill(random.Random(killed).choice(workers), signal.SIGKILL)
                killed += 1
            print(f"{killed} workers killed, {len(clips(folder / 'b/run'))} clips", file=sys.stderr)
        ended = driver.poll() is not None
        made = len(clips(folder / "b/run"))
    finish(command, folder)
    return {
        "workers_killed": killed, "driver_killed_at_clips": "it had ended" if ended else made,
        **compared(folder / "a/run", folder / "b/run"),
    }  # fmt: skip


def _workers(session: int) -> list[int]:
    """Actors of ours below a driver."""
    asked = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, encoding="utf-8", check=True).stdout
    lines = [line.strip().partition(" ") for line in asked.splitlines() if "ray::_Worker" in line]
    return [int(pid) for pid, _, _ in lines if _driver_of(int(pid), session)]


def _driver_of(pid: int, session: int) -> bool:
    """Whether ``session`` is above a process."""
    while pid > 1:
        if pid == session:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return False


PLAN = """
cells:
  - {name: two, method: slow, settings: {steps: 2}}
  - {name: three, method: slow, settings: {steps: 3}}
"""

SCENARIOS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    made.__name__: made for made in (plan, store, kills, trainings, processes, disk, overhead, ray)
}


def text(found: Mapping[str, Any]) -> str:
    """The figures as a page."""
    lines = [
        "# Sweeps, large and disturbed",
        "",
        "By `benchmarks/sweeps.py`; what each does is in its functions. `load` is that of the machine meanwhile: above "
        "the number of cores the clock says little, and `cpu seconds` more. `ray up` on three machines, `ray job "
        "submit` and `ray down`: [ray_up.md](ray_up.md).",
        "",
    ]
    for name, figures in found.items():
        said = inspect.cleandoc(SCENARIOS[name].__doc__ or "")
        lines += [f"## {name}", "", said, "", "| | |", "|---|---|"]
        lines += [f"| {key.replace('_', ' ')} | {value} |" for key, value in figures.items()] + [""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="+", choices=list(SCENARIOS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    file = arguments.out / "sweeps.json"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(tempfile.gettempdir()) / "sweeps-compiled"))
    for name in arguments.scenarios:
        folder = Path(tempfile.mkdtemp(prefix="sweeps-"))
        (folder / "plugins").mkdir()
        (folder / "plugins" / "waits.py").write_text(PLUGIN, encoding="utf-8")
        (folder / "slow.yaml").write_text(PLAN, encoding="utf-8")
        try:
            figures = SCENARIOS[name](folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        found[name] = figures | {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
        ordered = {key: found[key] for key in SCENARIOS if key in found}
        file.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
        (arguments.out / "sweeps.md").write_text(text(ordered), encoding="utf-8")
        print(name, json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
