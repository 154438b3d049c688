"""What a metric found of a cell: the rows of its clips, or why there are none.

Shape legend: n clips, d numbers a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from artv_eval.api import ClipRequest
from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.metrics.statistics import SetValue
from artv_eval.results.rows import OK
from artv_eval.results.store import RunStore
from artv_eval.sweep.plan import READY, Cell


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Rows of one cell under one metric; ``status`` says why there are none.

    ``positions``: the request that each row belongs to; the ``failed`` ones, whose clip was not to be made, have none.
    ``known``: of a metric of the whole set, its value with what intervals need, once it is there.
    ``seeds_per_prompt``: so many requests in a row are of one prompt.
    """

    cell: Cell
    evaluator: Any
    rows: np.ndarray | None
    reference: np.ndarray | None
    positions: Sequence[int] = ()
    failed: int = 0
    status: str = OK
    known: SetValue | None = None
    seeds_per_prompt: int = 1

    @property
    def prompts(self) -> list[int]:
        """The number of each row's prompt."""
        return [position // self.seeds_per_prompt for position in self.positions]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of the run: its evaluator, or why it is absent."""

    name: str
    evaluator: Any = None
    status: str = OK

    @property
    def title(self) -> str:
        """The name that its rows have: metrics of one component may be several, such as ``curve``."""
        return self.name if self.evaluator is None else str(self.evaluator.name)


@dataclass(frozen=True)
class CellClips:
    """The clips of a cell. ``positions``: requests of which there is one; ``failed``: index → why there is none."""

    cell: Cell
    positions: Sequence[int]
    failed: Mapping[int, str]
    there: frozenset[str]

    @classmethod
    def of(cls, store: RunStore, cell: Cell, requests: Sequence[ClipRequest], indices: Sequence[int]) -> "CellClips":
        """``indices``: of all requests: none is made only to be counted."""
        if cell.status != READY:
            return cls(cell, (), {}, frozenset())
        failed = store.failures(cell.id, indices)
        positions = [position for position, index in enumerate(indices) if index not in failed]
        there = _provided(store, cell, requests[positions[0]]) if positions else frozenset[str]()
        return cls(cell, positions, failed, there)

    def lacks(self, metric: Metric) -> str | None:
        """Why the metric says nothing of this cell, as far as can be said before its clips are described."""
        if self.cell.status != READY:
            return self.cell.status
        if metric.status != OK:
            return metric.status
        if not self.positions:
            return f"failed: no clip came out: {next(iter(self.failed.values()))}"
        lacking = metric.evaluator.needs - self.there - {"reference"}  # which a protocol has, or the metric is absent
        return f"absent: this cell has no {' and no '.join(sorted(lacking))}" if lacking else None

    def scored(
        self, metric: Metric, rows: np.ndarray | str, reference: np.ndarray | None, seeds_per_prompt: int = 1
    ) -> Scored:
        """``rows``: or why there are none."""
        if isinstance(rows, str):
            evaluator = metric.evaluator if metric.evaluator is not None else _Missing(metric.name)
            return Scored(cell=self.cell, evaluator=evaluator, rows=None, reference=None, status=rows)
        total = len(self.positions) + len(self.failed)
        if (first := optional(metric.evaluator, EvaluatorExtras, "first")) is not None:
            total = min(total, first * seeds_per_prompt)
        its = [position for position in self.positions if position < total]
        return Scored(
            cell=self.cell,
            evaluator=metric.evaluator,
            rows=rows[: len(its)],
            reference=reference,
            positions=its,
            failed=total - len(its),
            seeds_per_prompt=seeds_per_prompt,
        )


@dataclass(frozen=True)
class _Missing:
    """Stands for the evaluator of an absent metric in its rows."""

    name: str
    higher_is_better: bool | None = None


def _provided(store: RunStore, cell: Cell, first: ClipRequest) -> frozenset[str]:
    """What ``needs`` may ask for, judged by the first clip."""
    clip = store.load_clip(cell.id, first.index)
    there = {
        "captions": bool(first.caption),
        "first_frame": first.first_frame is not None,
        "real": first.real is not None,
        "labels": bool(first.labels),
        "mask": clip.mask is not None,
        "seconds": clip.seconds is not None,
    }
    return frozenset(name for name, has in there.items() if has)


def failed_clips(cells: Sequence[CellClips]) -> list[str]:
    """A line for each cell of which clips failed."""
    lines = []
    for item in cells:
        for index, why in list(item.failed.items())[:1]:
            total = len(item.positions) + len(item.failed)
            lines.append(
                f"{item.cell.title}: {len(item.failed)} of {total} clips failed (clip {index}: {why}); its values are "
                "over the others, its differences over the clips that both cells have"
            )
    return lines


def unmade_clips(store: RunStore, cells: Sequence[Cell], indices: Sequence[int]) -> list[str]:
    """A line for each cell that failed with some of its clips: it has no value rather than one of fewer clips."""
    lines = []
    for cell in cells:
        if cell.status != READY and cell.method is not None and (lost := len(store.struck(cell.id, indices))) > 0:
            rest = "that one" if lost == 1 else "these"
            lines.append(
                f"{cell.title}: {lost} of {len(indices)} clips could not be made, so that it has no value; "
                f"--retry-failed makes {rest} alone"
            )
    return lines
