"""A sweep on one GPU against several of one machine: clips a second made and described, and that all is the same.

    python benchmarks/gpus_sweep.py --gpus 4,1 --each 3                                 # four minutes on four H200s
    python benchmarks/gpus_sweep.py --gpus 4,1 --each 3,6 --method real --num-videos 1024 --passes 10 --i3d 2 # scores
    python benchmarks/gpus_sweep.py --gpus 2,1 --device cpu --num-videos 24 --batch-size 2 --frames 4

Clips are of the packaged shapes model by ``--executor gpus``, so many for each GPU that all are as long at work; a GPU
has its share of the cores, also where it is alone: whole ones, with all their threads. A rate is that of all processes
at work: from when the last of them has ended its second task, for the first may compile, until the first has ended its
last. A clip is described when it was read from its file and has its rows of all metrics; ``--passes`` describe the same
clips again and again, for making so many takes longer; of several numbers of processes a GPU, the first makes them and
all describe them, I3D under the first. On a CPU a "GPU" is a process.
With a rate stand, of the same time, the share in which each GPU ran a kernel, its watts, and the cores that the
processes had (one that waits for its GPU has it all the while) and the one that gives them tasks.
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
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
OF_ROW = ("gpus", "processes", "cores")
OF_PASS = ("clips", "per_s", "window_s", "gpus_busy", "gpus_w", "cores_busy", "core_of_parent")
WEIGHTS = "i3d_pretrained_400.pt"
PARTS = 6  # of a window: their rates say how steady it was
TOLD = 2.0  # seconds between two looks at what is there so far
SOME = 200  # clips whose seconds are read
LOOK = 0.2  # seconds between two looks at the GPUs, which have a new number every sixth of a second


@dataclass(frozen=True)
class Done:
    """A task that dealt with clips of the model, and when, by the machine's clock.

    ``core_s``: seconds of cores that its process has had until then, all threads together.
    """

    gpu: str
    process: int
    clips: int
    began: float
    ended: float
    core_s: float


class Noted:
    """Work that notes, in a file, what was :class:`Done`."""

    def __init__(self, work: Callable[[Task], Any], notes: Path) -> None:
        self.work, self.notes = work, notes

    def __call__(self, task: Task) -> Any:
        began = time.monotonic()
        result = self.work(task)
        if task.indices and not task.method.get("reference"):
            when = began, time.monotonic(), time.process_time()
            line = os.environ.get(VISIBLE) or "-", os.getpid(), len(task.indices), *when
            with self.notes.open("a", encoding="utf-8") as file:
                file.write(" ".join(map(str, line)) + "\n")
        return result


def noted(notes: Path) -> list[Done]:
    """What the file says, by ends."""
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
    kinds = (str, int, int, float, float, float)
    found = [Done(*(kind(word) for kind, word in zip(kinds, line.split(), strict=True))) for line in lines]  # type: ignore[arg-type]
    return sorted(found, key=lambda done: done.ended)


@dataclass(frozen=True)
class Look:
    """What a moment's look at this process and the GPUs found."""

    ended: float
    core_s: float
    busy: tuple[float, ...] = ()
    watts: tuple[float, ...] = ()


@contextmanager
def looking(gpus: int) -> Iterator[list[Look]]:
    """Looks again and again at so many GPUs, those that the processes see; at none where NVML does not say."""
    looks: list[Look] = []
    ended = threading.Event()

    def look() -> None:
        asked = range(gpus)
        while not ended.wait(LOOK):
            try:
                busy = tuple(torch.cuda.utilization(gpu) / 100 for gpu in asked)
                watts = tuple(torch.cuda.power_draw(gpu) / 1e3 for gpu in asked)
            except Exception as error:  # pynvml's errors have no common base that exists without the package
                print(f"nothing about the GPUs: {error}", flush=True)
                asked = range(0)
                busy = watts = ()
            looks.append(Look(time.monotonic(), time.process_time(), busy, watts))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield looks
    finally:
        ended.set()
        thread.join()


@dataclass
class Timed:
    """An executor whose tasks are noted; ``tell`` is given their rates so far.

    Args:
        gpus: how many are looked at meanwhile.
        passes: how often clips are dealt with; whoever asks gets the first result of each task.
    """

    executor: GpuExecutor
    notes: Path
    tell: Callable[[dict[str, Any]], object]
    gpus: int
    passes: int = 1
    given: set[int] = field(default_factory=set)

    def run(self, work: Any, tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        begun = told = time.monotonic()
        again = [task for task in tasks if not task.method.get("reference")] * (self.passes - 1)
        with looking(self.gpus) as looks:
            for task, result in self.executor.run(Noted(work, self.notes), [*tasks, *again]):
                if id(task) not in self.given:
                    self.given.add(id(task))
                    yield task, result
                if time.monotonic() - told > TOLD:
                    self.tell(rates(noted(self.notes), self.executor.processes or 1, begun, looks))
                    told = time.monotonic()
        self.tell(rates(noted(self.notes), self.executor.processes or 1, begun, looks))


def rates(tasks: Sequence[Done], processes: int, begun: float, looks: Sequence[Look]) -> dict[str, Any]:
    """Clips a second while all processes are at work, how steady that was, and how busy GPUs and cores were.

    ``per_s`` is None of too few tasks.
    """
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
        "cores_busy": round(sum(cores_had(its, start, end) for its in of.values()), 2),
        **about(list(looks), start, end),
    }  # fmt: skip


def cores_had(seen: Sequence[Done] | Sequence[Look], start: float, end: float) -> float:
    """Cores that a process had between two times."""
    at = np.interp([start, end], [item.ended for item in seen], [item.core_s for item in seen])
    return float(at[1] - at[0]) / (end - start)


def about(looks: Sequence[Look], start: float, end: float) -> dict[str, Any]:
    """What was seen between two times: the core of this process, and of each GPU the share of time and its watts."""
    inside = [look for look in looks if start < look.ended < end]
    if len(inside) < 2:
        return {}
    found: dict[str, Any] = {"core_of_parent": round(cores_had(looks, start, end), 2)}
    if all(look.busy for look in inside):
        found["gpus_busy"] = np.mean([look.busy for look in inside], 0).round(3).tolist()
        found["gpus_w"] = np.mean([look.watts for look in inside], 0).round(0).tolist()
    return found


def share(done: Done, start: float, end: float) -> float:
    """Clips of a task that fall between two times, as if it dealt with them evenly."""
    return done.clips * max(0.0, min(done.ended, end) - max(done.began, start)) / (done.ended - done.began)


class Report:
    """What is known so far, in ``--out``."""

    def __init__(self, path: Path, found: dict[str, Any]) -> None:
        self.path, self.found = path, found | {"rows": []}
        self.fingerprints: dict[int, list[str | None]] = {}

    def begin(self, gpus: int, each: int) -> None:
        threads = os.sched_getaffinity(0)
        whole = len({core_of(thread) for thread in threads})
        row = {"gpus": gpus, "each": each, "processes": gpus * each, "cores": len(threads), "whole_cores": whole}
        self.found["rows"].append(row)

    def tell(self, name: str, value: Any) -> None:
        """Keeps something of the last row."""
        self.found["rows"][-1][name] = value
        rows, least = self.found["rows"], dict[int, dict[str, Any]]()
        for row in sorted(rows, key=lambda row: row["gpus"]):
            least.setdefault(row["each"], row)
        pairs = [(least[row["each"]], row) for row in rows if row is not least[row["each"]]]
        self.found["compared"] = [compared(one, row, self.fingerprints) for one, row in pairs]
        text = json.dumps(self.found | {"load": round(os.getloadavg()[0], 1)}, indent=1) + "\n"
        self.path.write_text(text, encoding="utf-8")


def compared(
    one: Mapping[str, Any], several: Mapping[str, Any], fingerprints: Mapping[int, Sequence[str | None]]
) -> dict[str, Any]:
    """How many times as fast, and whether all that both have is the same."""
    found: dict[str, Any] = {"gpus": [several["gpus"], one["gpus"]], "each": one["each"]}
    for name in NAMES:
        pair = [row.get(name, {}).get("per_s") for row in (several, one)]
        found[f"{name}_ratio"] = round(pair[0] / pair[1], 3) if all(pair) else None
    if one["gpus"] in fingerprints:
        pairs = list(zip(fingerprints[one["gpus"]], fingerprints[several["gpus"]], strict=False))
        found |= {"clips_of_both": len(pairs), "same_clips": sum(a == b for a, b in pairs)}
    for name, of in (("values", ""), ("values_i3d", "_i3d")):
        if name in one and name in several:
            found[f"largest_relative_difference{of}"] = largest_difference(one[name], several[name])
    return found


def largest_difference(values: Mapping[str, float], others: Mapping[str, float]) -> float:
    """The largest difference, relative to the first where that is not 0; NaN where there is one."""
    assert values.keys() == others.keys(), (values, others)
    return float(np.max([abs(others[name] - value) / (abs(value) or 1) for name, value in values.items()]))


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
    looked_at = gpus if arguments.device == "cuda" else 0
    number = gpus * arguments.num_videos
    prepared, store = planned(manager, folder / "run", number, arguments, {})
    for place, each in enumerate(arguments.each):
        executor = GpuExecutor(processes=gpus * each)
        report.begin(gpus, each)

        def timed(name: str, passes: int = 1, executor: GpuExecutor = executor, each: int = each) -> Any:
            notes = folder / f"{name}-{each}.txt"
            return Timed(executor, notes, lambda seen: report.tell(name, seen), looked_at, passes)

        if not place:
            made(prepared, store, manager, timed("made"), arguments, report, gpus)
        report.tell("values", described(prepared, store, timed("described", arguments.passes), alike))
        if arguments.i3d and not place:
            settings = {"fvd": {"feature": "i3d"}}
            by_i3d = planned(manager, folder / "run", number, arguments, settings)
            values = described(*by_i3d, timed("described_i3d", arguments.i3d), alike)
            report.tell("values_i3d", {"fvd": values["fvd"]})  # the others' rows were there
        for pool in executor._pools:  # the next ones have the GPUs to themselves,
            pool.shutdown()
        for kept in (store.root / "features" / prepared.cells[0].id).glob("*"):  # and rows to make
            kept.unlink()


def made(
    prepared: Prepared, store: RunStore, manager: PluginManager, executor: Timed, arguments: argparse.Namespace,
    report: Report, gpus: int,
) -> None:  # fmt: skip
    """Makes the clips."""
    (cell,), indices = prepared.cells, prepared.indices
    work = GenerationWork(
        manager=manager, protocol=prepared.card_recipe.named(), num=len(prepared.requests),
        frames=prepared.protocol.frames, seed=0, run=store.root, runtime=prepared.runtime,
    )  # fmt: skip
    faults = generate(executor, work, pending(store, prepared.cells, indices, Shard(), arguments.batch_size))
    assert not faults, faults
    some = [store.load_clip(cell.id, index).seconds or 0.0 for index in indices[:: max(1, len(indices) // SOME)]]
    report.tell("sampling_s", round(statistics.mean(some) * arguments.batch_size, 3))  # of a task
    report.fingerprints[gpus] = [store.fingerprint(cell.id, index) for index in indices]


def described(prepared: Prepared, store: RunStore, executor: Any, alike: int) -> dict[str, float]:
    """Metric → its value of the first ``alike`` clips, all of which are described; no interval is reckoned."""
    scoring = Scoring(replace(prepared, executor=executor), store, prepared.cells)
    scoring._describe(scoring._work())
    found = scoring._in_order()
    assert all(item.rows is not None for item in found), found
    return {item.evaluator.name: item.evaluator.evaluate(item.rows[:alike], item.reference) for item in found}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row a number of processes and a pass."""
    lines = ["| " + " | ".join((*OF_ROW, "pass", *OF_PASS)) + " |", "|---" * (len(OF_ROW) + 1 + len(OF_PASS)) + "|"]
    for row in rows:
        for name in (name for name in NAMES if name in row):
            cells = (*(row[key] for key in OF_ROW), name, *(row[name].get(key, "") for key in OF_PASS))
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def core_of(thread: int) -> int:
    """The first of the threads that share its core, as far as the system says it."""
    path = Path(f"/sys/devices/system/cpu/cpu{thread}/topology/thread_siblings_list")
    return int(re.split("[,-]", path.read_text(encoding="utf-8"))[0]) if path.is_file() else thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", default="4,1", help="numbers of GPUs; the others are compared with the least")
    parser.add_argument("--each", default="1", help="processes a GPU; of several numbers each describes the clips")
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
    arguments.each = [int(each) for each in arguments.each.split(",")]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
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
