"""A sweep on one GPU against several of one machine: clips a second made and described, and that all is the same.

    python benchmarks/gpus_sweep.py --gpus 4,1 --each 3                                 # two minutes on four H200s
    python benchmarks/gpus_sweep.py --gpus 2,1 --device cpu --num-videos 24 --described 24 --batch-size 2 --frames 4

Clips are of the packaged shapes model by ``--executor gpus``, so many for each GPU that all are as long at work. A rate
is that of all processes at work: from the end of their second tasks, for the first may compile, until one finds no
task left. One GPU alone has the cores of all, which flatters it: ``taskset`` its share. On a CPU a "GPU" is a process.
Prints a table, then one JSON line; ``--out`` keeps it, with the end of every task, as it grows.
"""

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as the commands have it, before torch is imported

import torch

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

NOTES = "notes.txt"


class Work(GenerationWork):
    """Notes on which GPU a task's clips were made."""

    def __call__(self, task: Task) -> Any:
        result = super().__call__(task)
        with (self.run / NOTES).open("a", encoding="utf-8") as file:
            file.write(f"{os.environ.get(VISIBLE) or os.getpid()} {len(task.indices)}\n")
        return result


class Timed:
    """An executor whose ends are noted: (seconds, clips of the task)."""

    def __init__(self, executor: GpuExecutor) -> None:
        self.executor, self.ends = executor, list[tuple[float, int]]()

    def run(self, work: Any, tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        for task, result in self.executor.run(work, tasks):
            self.ends.append((time.monotonic(), len(task.indices)))
            yield task, result

    @property
    def seconds(self) -> list[float]:
        """When tasks ended, after the first."""
        return [round(end - self.ends[0][0], 2) for end, _ in self.ends]

    def rate(self, processes: int) -> float | None:
        """Clips a second between the second task of each process and the last that all work on; None of too few."""
        ends = [end for end in self.ends if end[1]][2 * processes - 1 : 1 - processes or None]
        if len(ends) < 2:
            return None
        return round(sum(clips for _, clips in ends[1:]) / (ends[-1][0] - ends[0][0]), 2)


def planned(manager: PluginManager, run: Path, number: int, arguments: argparse.Namespace) -> tuple[Prepared, RunStore]:
    """A sweep of one cell and so many clips, and its run folder."""
    given = {name: getattr(arguments, name) for name in ("frames", "batch_size", "device")}
    plan = {"cells": [{"name": "model"}], "sanity": False, "metrics": arguments.metrics.split(","), **given}
    prepared = prepare(manager, SweepPlan.model_validate({**plan, "num_videos": number, "out": str(run)}).options())
    store = RunStore(prepared.run, shared=SharedStore(prepared.store))
    refer(prepared, store)
    store.identify()
    return prepared, store


def measured(
    manager: PluginManager, folder: Path, gpus: int, alike: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Makes and describes clips on so many GPUs; ``alike``: clips whose values are kept to be compared."""
    processes, started = gpus * arguments.each, time.monotonic()
    executor = GpuExecutor(processes=processes)
    prepared, store = planned(manager, folder / "made", gpus * arguments.num_videos, arguments)
    work = Work(
        manager=manager, protocol=prepared.card_recipe.named(), num=len(prepared.requests),
        frames=prepared.protocol.frames, seed=0, run=store.root, runtime=prepared.runtime,
    )  # fmt: skip
    making, describing = Timed(executor), Timed(executor)
    faults = generate(making, work, pending(store, prepared.cells, prepared.indices, Shard(), arguments.batch_size))
    assert not faults, faults
    made = time.monotonic()
    found = {
        "gpus": gpus,
        "processes": processes,
        "clips": len(prepared.requests),
        "made_per_s": making.rate(processes),
    }
    found |= {"making_s": round(made - started, 1), "clips_of": clips_of(store.root / NOTES)}
    found["ends_s"] = making.seconds
    print(found, flush=True)
    scored(manager, folder, gpus * arguments.described, describing, arguments)
    found |= {"described_per_s": describing.rate(processes), "scoring_s": round(time.monotonic() - made, 1)}
    found["values"] = scored(manager, folder, alike, executor, arguments)
    (cell,) = prepared.cells
    return found | {"fingerprints": [store.fingerprint(cell.id, index) for index in prepared.indices]}


def scored(
    manager: PluginManager, folder: Path, number: int, executor: Any, arguments: argparse.Namespace
) -> dict[str, float]:
    """Metric → value of the first clips of those that were made, in a run folder of its own."""
    prepared, store = planned(manager, folder / f"scored-{number}", number, arguments)
    results = Scoring(replace(prepared, executor=executor), store, prepared.cells).results()
    return {row.metric: row.value for row in results.rows if row.value is not None}


def clips_of(notes: Path) -> dict[str, int]:
    """GPU → clips that it made."""
    found: Counter[str] = Counter()
    for line in notes.read_text(encoding="utf-8").splitlines():
        who, clips = line.split()
        found[who] += int(clips)
    return dict(sorted(found.items()))


def compared(one: Mapping[str, Any], several: Mapping[str, Any]) -> dict[str, Any]:
    """How many times as fast, and whether all that both have is the same."""
    pairs = list(zip(one["fingerprints"], several["fingerprints"], strict=False))
    off = max(abs(several["values"][name] / value - 1) for name, value in one["values"].items() if value)

    def ratio(name: str) -> float | None:
        return round(several[name] / one[name], 2) if several[name] and one[name] else None

    return {
        "gpus": [several["gpus"], one["gpus"]],
        "making_ratio": ratio("made_per_s"), "describing_ratio": ratio("described_per_s"),
        "clips_of_both": len(pairs), "same_clips": sum(a == b for a, b in pairs), "largest_relative_difference": off,
    }  # fmt: skip


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row a number of GPUs."""
    names = ("gpus", "processes", "clips", "made_per_s", "described_per_s", "making_s", "scoring_s")
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|---" * len(names) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", default="4,1", help="numbers of GPUs; the others are compared with the least")
    parser.add_argument("--each", type=int, default=1, help="processes a GPU")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--num-videos", type=int, default=896, help="clips made for each GPU; whole batches")
    parser.add_argument("--described", type=int, default=256, help="of them described")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--metrics", default="fvd,clipsim,drift")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpus_sweep.json")
    arguments = parser.parse_args()
    manager, rows, names = PluginManager(PluginOptions()), list[dict[str, Any]](), visible()
    counts = [int(count) for count in arguments.gpus.split(",")]
    found: dict[str, Any] = {
        "hardware": torch.cuda.get_device_name() if arguments.device == "cuda" else platform.machine(),
        "torch": torch.__version__, "each": arguments.each, "batch_size": arguments.batch_size,
    }  # fmt: skip
    for count in counts:
        if arguments.device == "cuda":
            os.environ[VISIBLE] = ",".join(names[:count])  # for the processes that it starts
        folder = Path(tempfile.mkdtemp(prefix="gpus-sweep-"))
        try:
            rows.append(measured(manager, folder, count, min(counts) * arguments.described, arguments))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        least = min(rows, key=lambda row: row["gpus"])
        found["rows"] = [{key: value for key, value in row.items() if key != "fingerprints"} for row in rows]
        found["compared"] = [compared(least, row) for row in rows if row is not least]
        text = json.dumps(found | {"load": round(os.getloadavg()[0], 1)}, indent=1) + "\n"
        arguments.out.write_text(text, encoding="utf-8")
    print(table(rows))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
