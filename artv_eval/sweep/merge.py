"""Shards that were made in folders of their own, put together into one run folder."""

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv.files import writing
from artv_eval.results.documents import read_json, read_manifest, write_json
from artv_eval.results.store import RunStore
from artv_eval.sweep.plan import Cell
from artv_eval.sweep.plan_file import plan_of
from artv_eval.sweep.prepare import Prepared

OWN = ("out", "store", "device", "batch_size", "retry_failed", "twins")
"""Fields of a plan in which shards may differ, beside who makes their clips."""


def shared_plan(runs: Sequence[Path]) -> dict[str, Any]:
    """The plan of all of them, without what is each one's own.

    Raises:
        UserError: one is no run folder, or is of another sweep, other code or other devices.
    """
    found = [(run, read_manifest(run)) for run in runs]
    first, one = found[0]
    plan = _shared(first)
    for run, other in found:
        for what, mine, theirs in _claims(one, other, [plan, _shared(run)]):
            if mine != theirs:
                raise UserError(f"{run} is no shard of the sweep of {first}: {what} is {theirs}, not {mine}")
    return plan


def _shared(run: Path) -> dict[str, Any]:
    return {key: value for key, value in plan_of(run).document().items() if key not in OWN}


def _claims(
    one: Mapping[str, Any], other: Mapping[str, Any], plans: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Any, Any]]:
    """What shards of one sweep have in common: name, of the first, of another."""
    cells = [{cell["id"]: cell.get("maker") for cell in document["cells"]} for document in (one, other)]
    return [
        ("its protocol", one["protocol"]["key"], other["protocol"]["key"]),
        ("its number of clips", one["num_videos"], other["num_videos"]),
        ("its cells", sorted(cells[0]), sorted(cells[1])),
        *((f"the plan's {key}", plans[0].get(key), plans[1].get(key)) for key in {**plans[0], **plans[1]}),
        *((f"the code, device or twin behind cell {key}", cells[0][key], cells[1].get(key)) for key in cells[0]),
    ]


def check_whole(prepared: Prepared, store: RunStore, runs: Sequence[Path]) -> None:
    """Raises UserError where clips of a cell are in none of these folders, nor failed there."""
    there = [store, *(RunStore(run, to_read=True) for run in runs)]
    for cell in prepared.cells:
        left = prepared.indices
        for source in there:
            missing = source.missing(cell.id, left)
            failed = {*source.failures(cell.id, missing), *source.struck(cell.id, missing)}
            left = [index for index in missing if index not in failed]
        untrained = cell.training is not None and any(source.fault(cell.training.id) for source in there)
        if left and cell.method is not None and not untrained:
            raise UserError(
                f"{len(left)} clips of {cell.title} are in none of these folders (the first is {min(left)}); give the "
                "other shards too"
            )


def merge(prepared: Prepared, store: RunStore, runs: Sequence[Path]) -> int:
    """Brings the clips, faults and twins' notes of ``runs`` into ``store``; returns how many clips were copied."""
    copied = 0
    for run in runs:
        source = RunStore(run, to_read=True)
        for cell in prepared.cells:
            here = source.missing(cell.id, prepared.indices)
            there = sorted(set(prepared.indices) - set(here))
            for index in store.missing(cell.id, there):
                _brought(source.clip_path(cell.id, index), store.clip_path(cell.id, index))
                copied += 1
            for index, why in source.failures(cell.id, here).items():
                store.save_failure(cell.id, index, why)
            notes = source.made_on(cell.id)
            for index in there:
                if index in notes and index not in store.made_on(cell.id):
                    store.note_making(cell.id, [index], notes[index])
            store.take_faults(source, _ids(cell))
            _twin(run, store.root, cell.id)
    return copied


def _ids(cell: Cell) -> list[str]:
    """Under which it, or its training, may have failed."""
    return [cell.id, *([cell.training.id] if cell.training else [])]


def _brought(source: Path, place: Path) -> None:
    """The same file under another name where one file system holds both, else a copy."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        os.link(source, place)
        return
    with writing(place) as part:
        shutil.copyfile(source, part)


def _twin(run: Path, root: Path, cell: str) -> None:
    source, place = (folder / "cells" / f"{cell}.twin.json" for folder in (run, root))
    if not source.is_file():
        return
    note = read_json(source)
    if place.is_file() and (other := read_json(place)["digest"]) != note["digest"]:
        raise UserError(
            f"cell {cell} in {run} is of a twin with other weights ({note['digest']}) than before ({other})"
        )
    write_json(place, note)
