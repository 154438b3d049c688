"""A prepared sweep for the eye and for other programs: what it will make, what is there, what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from artv.errors import counted
from artv_eval.extras import ProtocolExtras, optional
from artv_eval.results.store import RunStore
from artv_eval.sweep.costs import Costs
from artv_eval.sweep.kept_in import looked_at
from artv_eval.sweep.plan import READY, Cell
from artv_eval.sweep.prepare import Prepared
from artv_eval.sweep.ran import lines as what_ran
from artv_eval.sweep.trainings import Planned, failed_before, not_needed, planned, training_lines
from artv_eval.twins.store import TwinStore


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is left of a cell: ``clips`` to make, those that are there, those that failed and are not tried again."""

    clips: int
    finished: int
    failed: int


def document(prepared: Prepared, costs: Costs | None = None) -> dict[str, Any]:
    """What ``--dry-run --format json`` and ``plan --format json`` print."""
    left = left_of(prepared)
    return {
        "run": str(prepared.run),
        "protocol": prepared.protocol.label,
        "protocol_hash": prepared.protocol.key,
        "num_videos": len(prepared.requests),
        "metrics": [{"name": metric.title, "status": metric.status} for metric in prepared.metrics],
        "cells": [
            {
                "id": cell.id,
                "ablation": cell.ablation,
                "cell": cell.name,
                "method": cell.label,
                "status": cell.status,
                "checkpoint": cell.checkpoint,
                "ran": dict(cell.ran),
                "finished": left[cell.id].finished,
                "failed": left[cell.id].failed,
                "seed": cell.seed,
                "training": cell.training.id if cell.training else None,
            }
            for cell in prepared.cells
        ],
        "trainings": [
            {
                "id": item.training.id,
                "cells": item.cells,
                "seed": item.training.seed,
                "steps": item.training.steps,
                "finished": item.finished,
                "failed": item.failed,
                "minutes": item.minutes,
                "bytes": item.bytes,
            }
            for item in trainings_of(prepared)
        ],
        **({"costs": costs.document()} if costs else {}),
    }


def text(prepared: Prepared, costs: Costs | None = None) -> str:
    """The plan in words: a line a cell, with its id."""
    total, first = len(prepared.requests), prepared.requests[0]
    left = left_of(prepared)
    shard, ours = prepared.shard, len(prepared.shard.part(prepared.indices))
    here = f" ({ours} by shard {shard.index}/{shard.count})" if shard.count > 1 else ""
    lines = [
        f"protocol {prepared.protocol.label} ({prepared.protocol.key}): {counted(total, 'clip')} a cell{here} of "
        f"{counted(first.num_frames, 'frame')}, {first.width}×{first.height} at {first.fps:g} fps; run folder "
        f"{prepared.run}"
    ]
    said = optional(prepared.card, ProtocolExtras, "conventions")()
    lines += [f"  {said}"] if said else []
    lines += training_lines(trainings_of(prepared))
    lines += [f"  {_line(cell, left[cell.id])}" for cell in prepared.cells]
    lines += [f"  {line}" for line in what_ran(prepared.cells)]
    absent = [f"{metric.title} ({metric.status})" for metric in prepared.metrics if metric.status != READY]
    there = [metric.title for metric in prepared.metrics if metric.status == READY]
    lines.append(f"  metrics: {', '.join([*there, *absent])}")
    executor = prepared.executor_recipe
    if executor.name != "serial":
        settings = ", ".join(f"{name} {value}" for name, value in executor.settings.items())
        lines.append(f"  executor: {executor.name}" + (f", {settings}" if settings else ""))
    lines += [f"  {line}" for line in costs.lines()] if costs else []
    return "\n".join(lines)


def left_of(prepared: Prepared) -> dict[str, Left]:
    """Cell id → what is left of it, for this shard. Makes no folder."""
    store, ours, found = looked_at(prepared), prepared.shard.part(prepared.indices), {}
    untrained = _untrained(prepared, store)
    for cell in prepared.cells:
        missing = store.missing(cell.id, ours)
        failed = 0 if prepared.options.retry_failed else _failed(store, cell, missing, untrained)
        found[cell.id] = Left(clips=len(missing) - failed, finished=len(ours) - len(missing), failed=failed)
    return found


def lost_clips(prepared: Prepared) -> list[str]:
    """A line for each cell of which clips of this shard failed, with the first reason."""
    store, ours, lines = looked_at(prepared), prepared.shard.part(prepared.indices), []
    for cell in {cell.id: cell for cell in prepared.cells}.values():
        missing = store.missing(cell.id, ours)
        keys = [cell.id, *([cell.training.id] if cell.training else [])]
        faults = [*filter(None, map(store.fault, keys)), *store.failures(cell.id, missing).values()]
        lost = _failed(store, cell, missing, {key: "" for key in keys[1:] if store.fault(key)})
        if lost:
            lines.append(f"{lost} of {counted(len(ours), 'clip')} of {cell.title} failed ({faults[0]})")
    return lines


def _failed(store: RunStore, cell: Cell, missing: Sequence[int], untrained: Mapping[str, str]) -> int:
    """How many of these clips are not tried again: all, if the cell's training failed."""
    if cell.training and cell.training.id in untrained:
        return len(missing)
    return len({*store.failures(cell.id, missing), *store.struck(cell.id, missing)})


def trainings_of(prepared: Prepared) -> list[Planned]:
    """The trainings of a plan."""
    options = prepared.options.train
    if options is None:
        return []
    run, twins = looked_at(prepared), TwinStore(options.store)
    found = planned(prepared.manager, prepared.cells, twins, prepared.options.device, _untrained(prepared, run))
    done = not_needed(run, twins, prepared.cells, prepared.shard.part(prepared.indices))
    return [replace(item, finished=item.finished or item.training.id in done) for item in found]


def _untrained(prepared: Prepared, store: RunStore) -> dict[str, str]:
    """Training id → why it is not tried again."""
    options = prepared.options.train
    if options is None or prepared.options.retry_failed:
        return {}
    return failed_before(store, TwinStore(options.store), prepared.cells)


def _line(cell: Cell, left: Left) -> str:
    makes = [f"{counted(left.clips, 'clip')} to make"] if left.clips else []
    lost = [f"{counted(left.failed, 'clip')} failed before, which --retry-failed tries again"] if left.failed else []
    state = ", ".join([*makes, *lost]) or "finished"
    state = state if cell.status == READY else cell.status
    seed = f", seed {cell.seed}" if cell.seed is not None else ""
    return f"{cell.ablation} · {cell.name} ({cell.label}{seed}): {state} · {cell.id}"
