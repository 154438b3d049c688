"""Metric against training compute: what cells that were trained for several lengths come to at each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from artv_eval.report.plots import COLOURS, STYLES, Drawing, short
from artv_eval.results.rows import OK, Results, Row


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """One metric of an ablation: cell → its rows, of the shortest training first."""

    ablation: str
    metric: str
    cells: Mapping[str, Sequence[Row]]


def lengths_of(results: Results) -> list[Lengths]:
    """For each ablation and metric of which some cell was trained for more than one length."""
    found: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in results.rows:
        if row.status == OK and row.train_steps is not None:
            cells = found.setdefault((row.ablation or "", row.metric), {})
            cells.setdefault(row.cell.partition(" @")[0], []).append(row)
    made = [
        Lengths(ablation=a, metric=m, cells={name: sorted(rows, key=_steps) for name, rows in cells.items()})
        for (a, m), cells in found.items()
    ]
    return [item for item in made if any(len(rows) > 1 for rows in item.cells.values())]


def _steps(row: Row) -> int:
    return row.train_steps or 0


def value_against_training(item: Lengths) -> Drawing:
    """A line a cell over the training steps, with its intervals as a band: over training seeds, where there are some.

    Axes are logarithmic, as :mod:`artv_eval.metrics.compute_worth` has them; that of the metric where all of it is
    positive.
    """

    def paint(grid: Any) -> None:
        axes = grid[0, 0]
        for k, (cell, rows) in enumerate(item.cells.items()):
            line = {"color": COLOURS[k % len(COLOURS)], "linestyle": STYLES[k // len(COLOURS) % len(STYLES)]}
            steps, values, low, high = _points(rows)
            axes.plot(steps, values, "o", label=short(cell), linewidth=1.4, markersize=4, **line)
            axes.fill_between(steps, low, high, color=line["color"], alpha=0.15, linewidth=0)
        axes.set_xscale("log")
        if all(np.nanmin(_points(rows)[1:]) > 0 for rows in item.cells.values()):
            axes.set_yscale("log")
        axes.set_xlabel("training steps")
        axes.set_ylabel(short(item.metric))
        axes.legend(frameon=False, fontsize=8)

    return Drawing(paint=paint)


def _points(rows: Sequence[Row]) -> np.ndarray:
    """(4, n): steps, values and the ends of their intervals, NaN where there is none."""
    return np.array([[row.train_steps, row.value, row.ci_low, row.ci_high] for row in rows], np.float64).T
