"""Whether the numbers of a run are those of the clips that it has: kept rows are evaluated again, tables read again.

Shape legend: n clips, d numbers a row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from artv.errors import counted
from artv_eval.extras import ProtocolExtras, optional
from artv_eval.metrics.base import described
from artv_eval.metrics.statistics import per_clip
from artv_eval.plugins.digests import digest
from artv_eval.results.rows import OK, ClipValues, Results, Row
from artv_eval.results.store import RunStore
from artv_eval.sweep.check import Check
from artv_eval.sweep.kept_rows import agrees
from artv_eval.sweep.plan import Cell
from artv_eval.sweep.prepare import Prepared
from artv_eval.sweep.references import references_of
from artv_eval.sweep.score_cells import CellClips, Scored
from artv_eval.sweep.summaries import per_clip_of

CLOSE = 1e-3
"""Share of a row's largest number by which one that is described again, alone, may differ from one of a batch."""


class KeptValues:
    """What a run keeps of its clips under each of its metrics; of cells whose clips are all whole."""

    def __init__(self, prepared: Prepared, store: RunStore) -> None:
        self.prepared, self.store, self.metrics = prepared, store, list(prepared.metrics)
        self.references = references_of(prepared, store, self.metrics)
        self.seeds_per_prompt = optional(prepared.card, ProtocolExtras, "seeds_per_prompt")
        self._known: dict[str, CellClips] = {}

    def checks(self, results: Results) -> Iterator[Check]:
        """A check for each value, and one for the values of single clips of a metric."""
        scored: list[Scored] = []
        names = {(cell.ablation, cell.name) for cell in self.prepared.cells}
        titles = {(cell.ablation, cell.title) for cell in self.prepared.cells}
        for row in results.rows:
            if row.status == OK and (row.ablation, row.cell) in names:
                found = self._scored(row)
                scored += [item for item in found if item.rows is not None]
                yield Check(what=f"{row.metric} of {row.cell}", same=not (why := self._why(found, row)), why=why)
        said = [item for item in results.per_clip if (item.ablation, item.cell) in titles]
        yield from _single_clips(per_clip_of(scored, self.prepared.indices), said)

    def described_again(self, cell: Cell, positions: Sequence[int]) -> Iterator[Check]:
        """The rows of some stored clips, made again."""
        requests = self.prepared.requests
        clips = self.store.clips(cell.id, [requests[i] for i in positions])
        for number, metric in enumerate(self.metrics):
            kept = "" if self._clips(cell).lacks(metric) else self._rows(number, cell)
            if isinstance(kept, str):
                continue
            again = described(metric.evaluator, clips)
            off = max(_off(kept[i], row) for i, row in zip(positions, again, strict=True) if i in kept)
            why = f"up to {off:.2g} of the largest number in a row: they were changed, or describing does not repeat"
            what = f"{counted(len(positions), 'row')} of {metric.title} of {cell.title}, described again"
            yield Check(what=what, same=off <= CLOSE, why=why)

    def _clips(self, cell: Cell) -> CellClips:
        if cell.id not in self._known:  # its first clip is opened to see what it has
            self._known[cell.id] = CellClips.of(self.store, cell, self.prepared.requests, self.prepared.indices)
        return self._known[cell.id]

    def _scored(self, row: Row) -> list[Scored]:
        """Clips and rows of each training of the row's cell."""
        found = []
        for number, metric in enumerate(self.metrics):
            if metric.title != row.metric or metric.status != OK:
                continue
            for cell in self.prepared.cells:
                if (cell.ablation, cell.name) != (row.ablation, row.cell) or self._clips(cell).lacks(metric):
                    continue
                rows, its = self._rows(number, cell), self._clips(cell)
                stacked = rows if isinstance(rows, str) else np.stack([rows[i] for i in its.positions])
                found.append(its.scored(metric, stacked, self._reference(number), self.seeds_per_prompt))
        return found

    def _rows(self, number: int, cell: Cell) -> dict[int, np.ndarray] | str:
        """Position → row of the clip that is there now; or why there are not all."""
        indices, positions = self.prepared.indices, self._clips(cell).positions
        kept = self.store.rows(cell.id).load(digest(self.metrics[number].evaluator.digest)[:16])
        names = {i: f"{indices[i]}:{self.store.fingerprint(cell.id, indices[i])}" for i in positions}
        if lacking := [i for i, name in names.items() if name not in kept]:
            return (
                f"{counted(len(lacking), 'clip')} (the first is {indices[lacking[0]]}) are others than those that were "
                "scored, or their rows were lost"
            )
        return {i: kept[name] for i, name in names.items()}

    def _reference(self, number: int) -> np.ndarray | None:
        clips = self.references.clips
        if clips is None or number not in clips.metrics:
            return self.references.rows.get(number)
        kept = self.store.rows(clips.name).load(digest(self.metrics[number].evaluator.digest)[:16])
        return np.stack([kept[key] for key in clips.keys]) if all(key in kept for key in clips.keys) else None

    def _why(self, found: Sequence[Scored], row: Row) -> str:
        """Why the value is not that of the rows; nothing where it is."""
        if missing := next((item.status for item in found if item.rows is None), None):
            return missing
        if not found:
            return "planned again, its metric or cell has no rows"
        if "reference" in found[0].evaluator.needs and found[0].reference is None:
            return "rows of the reference were lost"
        shared = sorted(set.intersection(*(set(item.positions) for item in found)))
        same = [
            replace(item, rows=item.rows[np.searchsorted(item.positions, shared)], positions=shared)  # type: ignore[index]
            for item in found
        ]
        if (there := with_a_value(same)) not in (None, row.n):
            return f"n is {row.n} in the results, and {there} clips have a value"
        if not agrees(same, row):
            return f"{row.value} in the results is not what the rows of its clips give"
        return ""


def with_a_value(same: Sequence[Scored]) -> int | None:
    """How many clips have a value under a metric: an object that is never seen has no shape, say. None where trainings
    differ in which.
    """
    values = [per_clip(item.evaluator, item.rows) for item in same if item.rows is not None]
    numbers = {
        len(item.positions) if v is None else int(np.isfinite(v).sum()) for item, v in zip(same, values, strict=True)
    }
    return next(iter(numbers)) if len(numbers) == 1 else None


def _off(kept: np.ndarray, again: np.ndarray) -> float:
    """The largest difference, as a share of the largest number; infinite where there are more or fewer numbers."""
    if kept.shape != again.shape or (np.isnan(kept) != np.isnan(again)).any():
        return float("inf")
    scale = max(float(np.nanmax(np.abs(kept), initial=0.0)), 1e-12)
    return float(np.nanmax(np.abs(kept - again), initial=0.0)) / scale


def _single_clips(now: Sequence[ClipValues], said: Sequence[ClipValues]) -> Iterator[Check]:
    """``per_clip.csv`` against the values of the kept rows, by metric."""
    values: dict[tuple[Any, str, str], Mapping[int, float]] = {(v.ablation, v.cell, v.metric): v.values for v in now}
    there = {(v.ablation, v.cell, v.metric): v.values for v in said}
    for metric in dict.fromkeys(key[2] for key in (*values, *there)):
        keys = [key for key in {**values, **there} if key[2] == metric]
        wrong = [key[1] for key in keys if not _same(values.get(key), there.get(key))]
        why = f"those of {wrong[0]} are not what the rows of its clips give" if wrong else ""
        yield Check(what=f"{metric} of single clips (per_clip.csv)", same=not wrong, why=why)


def _same(a: Mapping[int, float] | None, b: Mapping[int, float] | None) -> bool:
    if a is None or b is None or a.keys() != b.keys():
        return False
    order = sorted(a)
    return np.allclose([a[i] for i in order], [b[i] for i in order], rtol=1e-6, atol=1e-9, equal_nan=True)
