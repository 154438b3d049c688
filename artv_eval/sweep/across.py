"""Runs of one protocol compared with each other: their values in one table, and differences across them.

The clips of two runs belong together by the index of their request, for one protocol gives every run the same prompts,
first frames and seeds. A metric with a value a clip is tested on those (``per_clip.csv``). One of a whole set (FVD,
KVD), and any whose cells were trained several times, is tested as within a sweep, on the rows that both folders keep;
where they do not, from the two intervals, unpaired, and a note says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from artv.errors import UserError
from artv_eval.metrics.statistics import Interval, holm, paired_means
from artv_eval.metrics.unpaired import METHOD, unpaired_difference
from artv_eval.plugins.manager import PluginManager
from artv_eval.report.tables import check_protocols
from artv_eval.results.rows import OK, Comparison, Results, Row, caveat_lines
from artv_eval.results.store import RunStore
from artv_eval.sweep.kept_rows import KeptRows
from artv_eval.sweep.summaries import comparisons_of

RUNS = "runs"  # stands for the ablation of such rows


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run to compare: what was found, and its folder."""

    results: Results
    store: RunStore


def across(runs: Mapping[str, Run], manager: PluginManager) -> Results:
    """One table of several runs, and each cell of the others against the first cell of the first.

    Args:
        runs: name → run, with the values of single clips.

    Raises:
        UserError: fewer than two runs, a metric that two of them took by other protocols, or no value that they share.
    """
    if len(runs) < 2:
        raise UserError(f"{len(runs)} run; give at least 2 run folders to compare")
    rows = [_of_run(row, name) for name, run in runs.items() for row in run.results.rows if not row.sanity]
    check_protocols(rows)
    tested = list(_Tests(runs, manager, rows).all())
    if not tested:
        raise UserError(f"{', '.join(runs)}: no metric that they share has values to compare; compare in one sweep")
    corrected = holm([pair.p_value for pair, _ in tested])
    unpaired = dict.fromkeys(pair.metric for pair, paired in tested if not paired)
    notes = [f"{', '.join(unpaired)}: compared across runs {METHOD}: not both keep the rows"] if unpaired else []
    comparisons = [replace(pair, p_holm=p) for (pair, _), p in zip(tested, corrected, strict=True)]
    return Results(run=None, rows=rows, comparisons=comparisons, notes=[*notes, *caveat_lines(comparisons)])


class _Tests:
    """Every test of the first cell of the first run against the cells of the others."""

    def __init__(self, runs: Mapping[str, Run], manager: PluginManager, rows: Sequence[Row]) -> None:
        self.runs, self.manager = runs, manager
        self.rows = {(row.cell, row.metric): row for row in rows if row.status == OK}
        self.run_of = {_named(name, row.cell): name for name, run in runs.items() for row in run.results.rows}
        self.base = next((cell for cell, _ in self.rows if self.run_of[cell] == next(iter(runs))), "")
        self.values = {(_named(n, v.cell), v.metric): v for n, run in runs.items() for v in run.results.per_clip}
        self.groups = cache(self._groups)

    def all(self) -> Iterator[tuple[Comparison, bool]]:
        """Each with whether it is paired."""
        for (cell, metric), row in self.rows.items():
            base = self.rows.get((self.base, metric))
            if base is None or self.run_of[cell] == self.run_of[self.base]:
                continue
            if (pair := self._by_clips(cell, metric) or self._by_rows(cell, metric)) is not None:
                yield pair, True
            elif (pair := _by_intervals(base, row)) is not None:
                yield pair, False

    def _by_clips(self, cell: str, metric: str) -> Comparison | None:
        a, b = self.values.get((self.base, metric)), self.values.get((cell, metric))
        if a is None or b is None or len(a.values.keys() & b.values.keys()) < 2:
            return None
        both = sorted(a.values.keys() & b.values.keys())
        differences = np.array([a.values[index] - b.values[index] for index in both])
        found = paired_means(differences, groups=[a.prompt(index) for index in both])
        return _comparison(self.base, cell, metric, found)

    def _by_rows(self, cell: str, metric: str) -> Comparison | None:
        mine, theirs = self.groups(self.run_of[self.base], metric), self.groups(self.run_of[cell], metric)
        if self.base not in mine or cell not in theirs:
            return None
        found, _ = comparisons_of([mine[self.base], theirs[cell]])
        return next(iter(found), None)

    def _groups(self, name: str, metric: str) -> Mapping[str, Any]:
        run = self.runs[name]
        try:
            kept = KeptRows(self.manager, run.store, metric)
            return kept.groups(run.results, RUNS, _named(name, ""))
        except (UserError, KeyError, TypeError):  # an older run, or one whose weights are not here
            return {}


def _by_intervals(a: Row, b: Row) -> Comparison | None:
    one, other = _interval(a), _interval(b)
    trainings = [row.seeds for row in (a, b) if row.seeds is not None and row.seeds > 1]
    independent = min([*trainings, a.prompts or a.n, b.prompts or b.n])
    if one is None or other is None or independent < 2:
        return None
    pair = _comparison(a.cell, b.cell, a.metric, unpaired_difference(one, other, independent))
    return replace(pair, seeds=min(trainings), about="method") if len(trainings) == 2 else pair


def _interval(row: Row) -> Interval | None:
    if row.value is None or row.ci_low is None or row.ci_high is None:
        return None
    return Interval(
        value=row.value, low=row.ci_low, high=row.ci_high, n=row.n, level=0.95, standard_error=0.0, method=""
    )  # fmt: skip


def _comparison(a: str, b: str, metric: str, found: Any) -> Comparison:
    return Comparison.of(found, ablation=RUNS, metric=metric, a=a, b=b, p_holm=found.p_value, about="checkpoints")


def _named(run: str, cell: str) -> str:
    return f"{run}: {cell}"


def _of_run(row: Row, name: str) -> Row:
    return replace(row, ablation=RUNS, cell=_named(name, row.cell))
