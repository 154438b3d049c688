"""A sweep on one GPU against several of one machine: clips a second made and described, and that all is the same.

    python benchmarks/gpus_sweep.py --gpus 4,1 --each 3                                 # four minutes on four H200s
    python benchmarks/gpus_sweep.py --gpus 4,1 --each 3 --method real --num-videos 1024 --passes 12 --i3d 2 # describing
    python benchmarks/gpus_sweep.py --gpus 2,1 --device cpu --num-videos 24 --batch-size 2 --frames 4

Clips are of the packaged shapes model by ``--executor gpus``, so many for each GPU that all are as long at work; a GPU
has its share of the cores, also where it is alone: whole ones, with all their threads. A rate is that of all processes
at work: from when the last of them has ended its second task, for the first may compile, until the first has ended its
last. A clip is described when it was read from its file and has its rows of all metrics; ``--passes`` describe the same
clips again and again, for making so many takes longer. On a CPU a "GPU" is a process.
Prints a table, then one JSON line; ``--out`` keeps it as it grows, so that a run that is cut off has its rates.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as the commands have it, before torch is imported

import numpy as np
import torch
from scoring import make_weights

from artv_eval.api import Task
from artv_eval.executors.gpus import VISIBLE, GpuExecutor, visible
from artv_eval.plugins.manager import PluginManager, PluginOptions
from artv_eval.results.shared_store import SharedStore
from artv_eval.results.store import RunStore
from artv_eval.sweep.generate import GenerationWork, Shard, generate, pending
from artv_eval.sweep.kept_in import refer
from artv_eval.sweep.plan_file import SweepPlan
from artv_eval.sweep.prepare import Prepared, prepare
from artv_eval.sweep.score import Scoring

NAMES = ("made", "described", "described_i3d")
WEIGHTS = "i3d_pretrained_400.pt"
PARTS = 6  # of a window: their rates say how steady it was
TOLD = 2.0  # seconds between two looks at what is there so far
SOME = 200  # clips whose seconds are read


@dataclass(frozen=True)
class Done:
    """A task that dealt with clips of the model, and when, by the machine's clock."""

    gpu: str
    process: int
    clips: int
    began: float
    ended: float


class Noted:
    """Work that notes, in a file, what was :class:`Done`."""

    def __init__(self, work: Callable[[Task], Any], notes: Path) -> None:
        self.work, self.notes = work, notes

    def __call__(self, task: Task) -> Any:
        began = time.monotonic()
        result = self.work(task)
        if task.indices and not task.method.get("reference"):
            line = os.environ.get(VISIBLE) or "-", os.getpid(), len(task.indices), began, time.monotonic()
            with self.notes.open("a", encoding="utf-8") as file:
                file.write(" ".join(map(str, line)) + "\n")
        return result


def noted(notes: Path) -> list[Done]:
    """What the file says, by ends."""
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
    kinds = (str, int, int, float, float)
    found = [Done(*(kind(word) for kind, word in zip(kinds, line.split(), strict=True))) for line in lines]  # type: ignore[arg-type]
    return sorted(found, key=lambda done: done.ended)


@dataclass
class Timed:
    """An executor whose tasks are noted; ``tell`` is given their rates so far.

    Args:
        passes: how often clips are dealt with; whoever asks gets the first result of each task.
    """

    executor: GpuExecutor
    notes: Path
    tell: Callable[[dict[str, Any]], object]
    passes: int = 1
    given: set[int] = field(default_factory=set)

    def run(self, work: Any, tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        begun = told = time.monotonic()
        again = [task for task in tasks if not task.method.get("reference")] * (self.passes - 1)
        for task, result in self.executor.run(Noted(work, self.notes), [*tasks, *again]):
            if id(task) not in self.given:
                self.given.add(id(task))
                yield task, result
            if time.monotonic() - told > TOLD:
                self.tell(rates(noted(self.notes), self.executor.processes or 1, begun))
                told = time.monotonic()
        self.tell(rates(noted(self.notes), self.executor.processes or 1, begun))


def rates(tasks: Sequence[Done], processes: int, begun: float) -> dict[str, Any]:
    """Clips a second while all processes are at work, and how steady that was; ``per_s`` is None of too few tasks."""
    of: dict[int, list[Done]] = {}
    for done in tasks:
        of.setdefault(done.process, []).append(done)
    found: dict[str, Any] = {"clips": sum(done.clips for done in tasks), "per_s": None}
    if len(of) < processes or min(map(len, of.values())) < 3:
        return found
    start, end = max(its[1].ended for its in of.values()), min(its[-1].ended for its in of.values())
    if end <= start:
        return found
    inside = [done for done in tasks if done.began < end and done.ended > start]

    def rate(a: float, b: float) -> float:
        return round(sum(share(done, a, b) for done in inside) / (b - a), 2)

    gpus = sorted({done.gpu for done in tasks})
    return found | {
        "per_s": rate(start, end),
        "parts_per_s": [rate(a, b) for a, b in pairwise(np.linspace(start, end, PARTS + 1).tolist())],
        "start_s": round(start - begun, 1), "window_s": round(end - start, 1),
        "all_s": round(tasks[-1].ended - begun, 1),
        "task_s": round(statistics.median(done.ended - done.began for done in inside), 3),
        "clips_of_task": max(done.clips for done in inside),
        "clips_of_gpu": {gpu: sum(done.clips for done in tasks if done.gpu == gpu) for gpu in gpus},
    }  # fmt: skip


def share(done: Done, start: float, end: float) -> float:
    """Clips of a task that fall between two times, as if it dealt with them evenly."""
    return done.clips * max(0.0, min(done.ended, end) - max(done.began, start)) / (done.ended - done.began)


class Report:
    """What is known so far, in ``--out``."""

    def __init__(self, path: Path, found: dict[str, Any]) -> None:
        self.path, self.found = path, found | {"rows": []}
        self.fingerprints: dict[int, list[str | None]] = {}

    def begin(self, gpus: int, processes: int) -> None:
        threads = os.sched_getaffinity(0)
        whole = len({core_of(thread) for thread in threads})
        self.found["rows"].append({"gpus": gpus, "processes": processes, "cores": len(threads), "whole_cores": whole})

    def tell(self, name: str, value: Any) -> None:
        """Keeps something of the last row."""
        self.found["rows"][-1][name] = value
        least = min(self.found["rows"], key=lambda row: row["gpus"])
        others = [row for row in self.found["rows"] if row is not least]
        self.found["compared"] = [compared(least, row, self.fingerprints) for row in others]
        text = json.dumps(self.found | {"load": round(os.getloadavg()[0], 1)}, indent=1) + "\n"
        self.path.write_text(text, encoding="utf-8")


def compared(
    one: Mapping[str, Any], several: Mapping[str, Any], fingerprints: Mapping[int, Sequence[str | None]]
) -> dict[str, Any]:
    """How many times as fast, and whether all that both have is the same."""
    found: dict[str, Any] = {"gpus": [several["gpus"], one["gpus"]]}
    for name in NAMES:
        pair = [row.get(name, {}).get("per_s") for row in (several, one)]
        found[f"{name}_ratio"] = round(pair[0] / pair[1], 3) if all(pair) else None
    if one["gpus"] in fingerprints:
        pairs = list(zip(fingerprints[one["gpus"]], fingerprints[several["gpus"]], strict=False))
        found |= {"clips_of_both": len(pairs), "same_clips": sum(a == b for a, b in pairs)}
    if {"values"} <= one.keys() & several.keys():
        off = [abs(several["values"][name] / value - 1) for name, value in one["values"].items() if value]
        found["largest_relative_difference"] = max(off)
    return found


def planned(
    manager: PluginManager, run: Path, number: int, arguments: argparse.Namespace, settings: Mapping[str, Any]
) -> tuple[Prepared, RunStore]:
    """A sweep of one cell and so many clips, and its run folder."""
    given = {name: getattr(arguments, name) for name in ("frames", "batch_size", "device")}
    plan = {
        "cells": [{"name": "model", "method": arguments.method}],
        "sanity": False,
        "metrics": arguments.metrics.split(","),
        "settings": settings,
        "protocol": arguments.protocol,
        **given,
    }
    prepared = prepare(manager, SweepPlan.model_validate({**plan, "num_videos": number, "out": str(run)}).options())
    store = RunStore(prepared.run, shared=SharedStore(prepared.store))
    refer(prepared, store)
    store.identify()
    return prepared, store


def measure(
    manager: PluginManager, folder: Path, gpus: int, alike: int, arguments: argparse.Namespace, report: Report
) -> None:
    """Makes and describes clips on so many GPUs. ``alike``: the first clips, whose values are compared."""
    executor = GpuExecutor(processes=gpus * arguments.each)
    report.begin(gpus, gpus * arguments.each)

    def timed(name: str, passes: int = 1) -> Any:
        return Timed(executor, folder / f"{name}.txt", lambda seen: report.tell(name, seen), passes)

    prepared, store = planned(manager, folder / "run", gpus * arguments.num_videos, arguments, {})
    (cell,), indices = prepared.cells, prepared.indices
    work = GenerationWork(
        manager=manager, protocol=prepared.card_recipe.named(), num=len(prepared.requests),
        frames=prepared.protocol.frames, seed=0, run=store.root, runtime=prepared.runtime,
    )  # fmt: skip
    faults = generate(timed("made"), work, pending(store, prepared.cells, indices, Shard(), arguments.batch_size))
    assert not faults, faults
    some = [store.load_clip(cell.id, index).seconds or 0.0 for index in indices[:: max(1, len(indices) // SOME)]]
    report.tell("sampling_s", round(statistics.mean(some) * arguments.batch_size, 3))  # of a task
    report.fingerprints[gpus] = [store.fingerprint(cell.id, index) for index in indices]
    report.tell("values", described(prepared, store, timed("described", arguments.passes), alike))
    if arguments.i3d:
        settings = {"fvd": {"feature": "i3d"}}
        prepared, store = planned(manager, folder / "run", gpus * arguments.num_videos, arguments, settings)
        described(prepared, store, timed("described_i3d", arguments.i3d), alike)


def described(prepared: Prepared, store: RunStore, executor: Any, alike: int) -> dict[str, float]:
    """Metric → its value of the first ``alike`` clips, all of which are described; no interval is reckoned."""
    scoring = Scoring(replace(prepared, executor=executor), store, prepared.cells)
    scoring._describe(scoring._work())
    found = scoring._in_order()
    assert all(item.rows is not None for item in found), found
    return {item.evaluator.name: item.evaluator.evaluate(item.rows[:alike], item.reference) for item in found}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row a number of GPUs."""
    names = ("gpus", "processes", "cores", "clips", *(f"{name}/s" for name in NAMES))
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for row in rows:
        rates = (row.get(name, {}).get("per_s") for name in NAMES)
        cells = (row["gpus"], row["processes"], row["cores"], row["made"]["clips"], *rates)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def core_of(thread: int) -> int:
    """The first of the threads that share its core, as far as the system says it."""
    path = Path(f"/sys/devices/system/cpu/cpu{thread}/topology/thread_siblings_list")
    return int(re.split("[,-]", path.read_text(encoding="utf-8"))[0]) if path.is_file() else thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", default="4,1", help="numbers of GPUs; the others are compared with the least")
    parser.add_argument("--each", type=int, default=1, help="processes a GPU")
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--method", default="artv", help="of the clips; real makes them at once, where describing counts"
    )
    parser.add_argument("--num-videos", type=int, default=1792, help="clips for each GPU; whole batches")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--protocol", help="such as a card with fewer reference clips; the preset's by default")
    parser.add_argument("--metrics", default="fvd,clipsim,drift")
    parser.add_argument("--passes", type=int, default=1, help="how often each clip is described")
    parser.add_argument("--i3d", type=int, default=0, metavar="PASSES", help="likewise by I3D alone, random weights")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpus_sweep.json")
    arguments = parser.parse_args()
    manager, names = PluginManager(PluginOptions()), visible()
    threads = sorted(os.sched_getaffinity(0), key=lambda thread: (core_of(thread), thread))
    counts = [int(count) for count in arguments.gpus.split(",")]
    hardware = torch.cuda.get_device_name() if arguments.device == "cuda" else platform.machine()
    kept = {
        name: getattr(arguments, name) for name in ("method", "each", "batch_size", "frames", "num_videos", "passes")
    }
    report = Report(arguments.out, {"hardware": hardware, "torch": torch.__version__, **kept})
    for count in counts:
        if arguments.device == "cuda":
            os.environ[VISIBLE] = ",".join(names[:count])  # for the processes that it starts
        os.sched_setaffinity(0, threads[: max(1, len(threads) * count // max(counts))])
        folder = Path(tempfile.mkdtemp(prefix="gpus-sweep-"))
        if arguments.i3d:
            make_weights(folder / WEIGHTS)
            os.environ["ARTV_EVAL_WEIGHTS"] = str(folder)
        try:
            measure(manager, folder, count, min(counts) * arguments.num_videos, arguments, report)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(report.found["rows"]))
    print(json.dumps(report.found))


if __name__ == "__main__":
    main()
