"""Runs of one protocol compared with each other: their values in one table, and paired differences across them.

The clips of two runs belong together by the index of their request, for one protocol gives every run the same prompts,
first frames and seeds. Only metrics with a value a clip are compared so: those of a whole set (FVD, KVD) need the rows
of both in one run.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from artv.errors import UserError
from artv_eval.metrics.statistics import Comparison as Tested
from artv_eval.metrics.statistics import holm, paired_means
from artv_eval.report.tables import check_protocols
from artv_eval.results.rows import OK, ClipValues, Comparison, Results, Row, caveat_lines

RUNS = "runs"  # stands for the ablation of such rows


def across(runs: Mapping[str, Results]) -> Results:
    """One table of several runs, and each cell of the others against the first cell of the first.

    Args:
        runs: name → results with the values of single clips.

    Raises:
        UserError: fewer than two runs, a metric that two of them took by other protocols, or no metric and clips
            that they share.
    """
    if len(runs) < 2:
        raise UserError(f"{len(runs)} run; give at least 2 run folders to compare")
    rows = [_of_run(row, name) for name, results in runs.items() for row in results.rows if not row.sanity]
    check_protocols(rows)
    values = {
        (f"{name}: {item.cell}", item.metric): item
        for name, results in runs.items()
        for item in results.per_clip
        if not any(row.sanity for row in results.rows if row.cell == item.cell)
    }
    first = next(iter(runs))
    base = next((row.cell for row in rows if row.status == OK and row.cell.startswith(f"{first}: ")), "")
    tested = [
        (metric, cell, _tested(values[base, metric], item))
        for (cell, metric), item in values.items()
        if not cell.startswith(f"{first}: ") and (base, metric) in values and _shared(values[base, metric], item) > 1
    ]
    if not tested:
        raise UserError(
            f"{', '.join(runs)}: no metric with values of single clips that they share; compare in one sweep"
        )
    corrected = holm([result.p_value for _, _, result in tested])
    comparisons = [
        Comparison.of(result, ablation=RUNS, metric=metric, a=base, b=cell, p_holm=p_holm, about="checkpoints")
        for (metric, cell, result), p_holm in zip(tested, corrected, strict=True)
    ]
    untested = sorted({row.metric for row in rows} - {metric for metric, _, _ in tested})
    notes = (
        [f"{', '.join(untested)}: not compared across runs, for clips have no value of their own"] if untested else []
    )
    return Results(run=None, rows=rows, comparisons=comparisons, notes=[*notes, *caveat_lines(comparisons)])


def _of_run(row: Row, name: str) -> Row:
    return replace(row, ablation=RUNS, cell=f"{name}: {row.cell}")


def _shared(a: ClipValues, b: ClipValues) -> int:
    return len(a.values.keys() & b.values.keys())


def _tested(a: ClipValues, b: ClipValues) -> Tested:
    both = sorted(a.values.keys() & b.values.keys())
    differences = np.array([a.values[index] - b.values[index] for index in both])
    return paired_means(differences, groups=[a.prompt(index) for index in both])
