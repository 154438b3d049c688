"""Whether a run is what it says: digests computed again, every clip read, some made again and compared to the bit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import WorkFailed, counted, in_one_line
from artv_eval.api import GeneratedClip
from artv_eval.extras import MethodExtras, optional
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import build
from artv_eval.results.clips import read_through
from artv_eval.results.documents import read_json, read_manifest
from artv_eval.results.rows import Results
from artv_eval.results.store import RunStore
from artv_eval.sweep.check import Check
from artv_eval.sweep.kept_in import makers
from artv_eval.sweep.manifest import versions
from artv_eval.sweep.plan import READY, Cell
from artv_eval.sweep.plan_file import plan_of
from artv_eval.sweep.prepare import Prepared, prepare
from artv_eval.sweep.provenance import hardware, requests_digest
from artv_eval.sweep.verify_manifest import manifest_checks, table_checks
from artv_eval.sweep.verify_values import KeptValues
from artv_eval.twins.store import TwinStore, folder_digest


def again(manager: PluginManager, run: Path, device: str | None = None) -> Prepared:
    """The run's sweep, prepared again from its manifest, for this process alone.

    Raises:
        UserError: it has no plan that this version can read.
    """
    plan = plan_of(run)
    changed = {"out": str(run), "executor": "serial", "device": device or plan.device}
    return prepare(manager, plan.model_copy(update=changed).options())


def verify(
    prepared: Prepared, results: Results, sample: int, on_clip: Callable[[], object] = lambda: None
) -> Iterator[Check]:
    """The checks, one by one.

    Args:
        results: of the run, with the values of single clips.
        sample: clips to make again, spread over the cells. Of a cell that failed there is nothing to check.
        on_clip: called for each clip that was read.
    """
    said, store = read_manifest(prepared.run), RunStore(prepared.run, to_read=True)
    yield _equal("protocol", said["protocol"]["key"], prepared.protocol.key)
    yield _equal("prompts, seeds and sizes", said["protocol"].get("requests"), requests_digest(prepared.requests))
    for metric in prepared.metrics:
        before = next((item["digest"] for item in said["metrics"] if item["name"] == metric.name), None)
        yield _equal(f"metric {metric.name}", before, metric.evaluator.digest if metric.evaluator else None)
    yield from manifest_checks(prepared, store, said)
    yield from table_checks(prepared, results)
    failed = {cell["id"] for cell in said["cells"] if cell["status"] != READY}
    cells = {
        cell.id: cell
        for cell in prepared.cells
        if cell.status == READY and cell.method is not None and cell.id not in failed
    }
    for cell in cells.values():
        if cell.training is not None:
            yield _twin(prepared, cell)
    sound = []
    for cell in cells.values():
        read = _read(store, cell, prepared.indices, on_clip)
        sound += [cell] if read.same else []
        yield read
    kept = KeptValues(replace(prepared, cells=sound), store)
    yield from kept.checks(results)
    yield from _made_again(prepared, store, said, kept, list(cells.values()), sample)


def _equal(what: str, before: Any, now: Any) -> Check:
    return Check(what=what, same=before == now, why=f"{before} in the manifest, {now} now")


def _twin(prepared: Prepared, cell: Cell) -> Check:
    assert cell.training is not None and prepared.options.train is not None
    store = TwinStore(prepared.options.train.store)
    noted = read_json(prepared.run / "cells" / f"{cell.id}.twin.json")["digest"]
    there = store.checkpoint(cell.training.id)
    return _equal(f"weights of {cell.title}", noted, folder_digest(there) if there.is_dir() else "nothing there")


def _read(store: RunStore, cell: Cell, indices: Sequence[int], on_clip: Callable[[], object]) -> Check:
    bad, failed = [], store.failures(cell.id, indices)
    for index in indices:
        on_clip()
        if index in failed:
            continue
        try:
            read_through(store.load_clip(cell.id, index))
        except WorkFailed as error:
            bad.append(str(error))
    what = f"{counted(len(indices) - len(failed), 'stored clip')} of {cell.title}"
    return Check(what=what, same=not bad, why=f"{len(bad)} damaged or gone: {bad[0]}" if bad else "")


def _made_again(
    prepared: Prepared,
    store: RunStore,
    said: Mapping[str, Any],
    kept: KeptValues,
    cells: Sequence[Cell],
    sample: int,
) -> Iterator[Check]:
    """Clips made and described again, alone, the first of each cell first."""
    indices, now = prepared.indices, makers(prepared)
    before = {cell["id"]: cell.get("maker") for cell in said["cells"]}
    for k, cell in enumerate(cells):
        assert cell.method is not None
        count = sample // len(cells) + (k < sample % len(cells))
        lost = {*store.failures(cell.id, indices), *store.missing(cell.id, indices)}  # damaged ones were set aside
        chosen = [i for i, index in enumerate(indices) if index not in lost]
        chosen = chosen[:: max(len(chosen) // max(count, 1), 1)][:count]
        if not chosen:
            continue
        same_code = before.get(cell.id) == now.get(cell.id)
        try:
            method = build(prepared.manager, cell.method, prepared.runtime)
            optional(method, MethodExtras, "prepare")(prepared.requests)
            made = [next(iter(method.generate([prepared.requests[i]]))) for i in chosen]
        except Exception as error:
            yield Check(what=f"clips of {cell.title}, made again", same=False, why=in_one_line(error))
            continue
        for i, clip in zip(chosen, made, strict=True):
            off = _difference(np.asarray(store.load_clip(cell.id, indices[i]).frames), clip)
            why = f"up to {off} grey levels; {_reasons(prepared, store, said, cell, indices[i], same_code)}"
            yield Check(what=f"clip {indices[i]} of {cell.title}, made again", same=off == 0, why=why)
        if cell in kept.prepared.cells:
            yield from kept.described_again(cell, chosen)


def _difference(stored: np.ndarray, clip: Any) -> int:
    """The largest, in grey levels."""
    if not isinstance(clip, GeneratedClip) or stored.shape != clip.frames.shape:
        return 255
    return int(np.abs(stored.astype(int) - np.asarray(clip.frames)).max())


def _reasons(
    prepared: Prepared, store: RunStore, said: Mapping[str, Any], cell: Cell, index: int, same_code: bool
) -> str:
    """What is different between then and now."""
    here, there = hardware(prepared.options.device), store.made_on(cell.id).get(index)
    found = []
    if there is None:
        found.append("on what it was made was not noted")
    elif there["device"] != here["device"]:
        found.append(f"it was made on {there['device']}, this is {here['device']}")
    other = {k: v for k, v in versions().items() if said["versions"].get(k) != v}
    found += [f"{name} was {said['versions'].get(name)} and is {version}" for name, version in other.items()]
    if not same_code and not other:
        found.append("the code is another")
    return "; ".join(found) or "hardware, versions and code are the same: it was made in a batch, or does not repeat"
