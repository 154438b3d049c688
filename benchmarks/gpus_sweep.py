"""A sweep on one GPU against several of one machine: clips a second made and described, and that all is the same.

    python benchmarks/gpus_sweep.py --gpus 1,4                                          # two minutes on four H200s
    python benchmarks/gpus_sweep.py --gpus 1,2 --device cpu --num-videos 24 --batch-size 2 --frames 4 --metrics drift

Clips are of the packaged shapes model by ``--executor gpus``. A rate is that of processes at work: from the end of
their second tasks, for the first may compile, to the last end. Prints a table, then one JSON line; ``--out`` keeps it.
"""

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as the commands have it, before torch is imported

import torch

from artv_eval.api import Task
from artv_eval.executors.gpus import GpuExecutor
from artv_eval.plugins.manager import PluginManager, PluginOptions
from artv_eval.results.shared_store import SharedStore
from artv_eval.results.store import RunStore
from artv_eval.sweep.generate import GenerationWork, Shard, generate, pending
from artv_eval.sweep.kept_in import refer
from artv_eval.sweep.plan_file import SweepPlan
from artv_eval.sweep.prepare import Prepared, prepare
from artv_eval.sweep.score import Scoring


class Work(GenerationWork):
    """Notes who made how many clips, and in which time."""

    def __call__(self, task: Task) -> Any:
        begun = time.monotonic()
        result = super().__call__(task)
        who = os.environ.get("CUDA_VISIBLE_DEVICES") or f"process {os.getpid()}"
        with (self.run / "notes.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"who": who, "clips": len(task.indices), "s": time.monotonic() - begun}) + "\n")
        return result


class Timed:
    """An executor whose ends are noted: (seconds, clips of the task)."""

    def __init__(self, executor: GpuExecutor) -> None:
        self.executor, self.ends = executor, list[tuple[float, int]]()

    def run(self, work: Any, tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        for task, result in self.executor.run(work, tasks):
            self.ends.append((time.monotonic(), len(task.indices)))
            yield task, result

    def rate(self, processes: int) -> float | None:
        """Clips a second after the second task of each process; None of too few tasks."""
        ends = [end for end in self.ends if end[1]][2 * processes - 1 :]
        if len(ends) < 2:
            return None
        return round(sum(clips for _, clips in ends[1:]) / (ends[-1][0] - ends[0][0]), 2)


def planned(manager: PluginManager, folder: Path, arguments: argparse.Namespace) -> Prepared:
    """A sweep of one cell."""
    given = {name: getattr(arguments, name) for name in ("num_videos", "frames", "batch_size", "device")}
    plan = {"cells": [{"name": "model"}], "sanity": False, "metrics": arguments.metrics.split(","), **given}
    return prepare(manager, SweepPlan.model_validate({**plan, "out": str(folder / "run")}).options())


def measured(manager: PluginManager, folder: Path, count: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Makes and describes all clips with so many processes."""
    prepared, started = planned(manager, folder, arguments), time.monotonic()
    store = RunStore(prepared.run, shared=SharedStore(prepared.store))
    refer(prepared, store)
    store.identify()
    work = Work(
        manager=manager, protocol=prepared.card_recipe.named(), num=len(prepared.requests),
        frames=prepared.protocol.frames, seed=0, run=store.root, runtime=prepared.runtime,
    )  # fmt: skip
    processes = GpuExecutor(processes=count)
    making, describing = Timed(processes), Timed(processes)
    faults = generate(making, work, pending(store, prepared.cells, prepared.indices, Shard(), arguments.batch_size))
    assert not faults, faults
    made = time.monotonic()
    results = Scoring(replace(prepared, executor=describing), store, prepared.cells).results()
    (cell,) = prepared.cells
    return {
        "processes": count, "clips": len(prepared.requests),
        "made_per_s": making.rate(count), "described_per_s": describing.rate(count),
        "making_s": round(made - started, 1), "scoring_s": round(time.monotonic() - made, 1),
        "each": by_process(store.root / "notes.jsonl"),
        "values": {row.metric: row.value for row in results.rows},
        "fingerprints": [store.fingerprint(cell.id, index) for index in prepared.indices],
    }  # fmt: skip


def by_process(notes: Path) -> dict[str, dict[str, float]]:
    """GPU → clips that it made, and how many a second after its first batch."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in notes.read_text(encoding="utf-8").splitlines():
        note = json.loads(line)
        found.setdefault(note["who"], []).append(note)
    return {
        who: {
            "clips": sum(note["clips"] for note in its),
            "per_s": round(sum(n["clips"] for n in its[1:]) / max(sum(n["s"] for n in its[1:]), 1e-9), 2),
        }
        for who, its in sorted(found.items())
    }  # fmt: skip


def compared(one: Mapping[str, Any], several: Mapping[str, Any]) -> dict[str, Any]:
    """How many times as fast, and whether all is the same."""
    a, b = one["fingerprints"], several["fingerprints"]
    off = max(abs(several["values"][name] / value - 1) for name, value in one["values"].items() if value)
    rates = [item["per_s"] for item in several["each"].values()]

    def ratio(name: str) -> float | None:
        return round(several[name] / one[name], 2) if several[name] and one[name] else None

    return {
        "making_ratio": ratio("made_per_s"), "describing_ratio": ratio("described_per_s"),
        "spread_percent": round(100 * (max(rates) / min(rates) - 1), 1),
        "same_clips": sum(x == y for x, y in zip(a, b, strict=True)), "largest_relative_difference": off,
    }  # fmt: skip


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row a number of processes."""
    names = ("processes", "clips", "made_per_s", "described_per_s", "making_s", "scoring_s")
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|---" * len(names) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--gpus", default="1,4", help="numbers of processes, the one that others are compared with first"
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--num-videos", type=int, default=1792)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--metrics", default="fvd,clipsim,drift")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpus_sweep.json")
    arguments = parser.parse_args()
    manager, rows = PluginManager(PluginOptions()), []
    for count in map(int, arguments.gpus.split(",")):
        folder = Path(tempfile.mkdtemp(prefix="gpus-sweep-"))
        try:
            rows.append(measured(manager, folder, count, arguments))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print({key: value for key, value in rows[-1].items() if key != "fingerprints"}, flush=True)
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else platform.processor()
    found = {
        "hardware": name, "torch": torch.__version__, "load": round(os.getloadavg()[0], 1),
        "batch_size": arguments.batch_size, "compared": [compared(rows[0], row) for row in rows[1:]],
        "rows": [{key: value for key, value in row.items() if key != "fingerprints"} for row in rows],
    }  # fmt: skip
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(rows))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
