"""``labels.csv``: what the protocol says of every clip, such as whether its camera moves; and results by it."""

import csv
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from artv.errors import UserError, closest, counted
from artv_eval.api import ClipRequest
from artv_eval.metrics.statistics import mean_interval
from artv_eval.results.csv_text import csv_text
from artv_eval.results.rows import ClipValues, Results, Row

LEAST = 2  # clips of a group with which there is an interval

Labels = Mapping[int, Mapping[str, str]]
"""index of a clip → label → its value."""


def as_csv(requests: Sequence[ClipRequest]) -> str | None:
    """A line a clip, of the labels that are yes or no; None where the protocol has none."""
    names = [name for name, value in requests[0].labels.items() if isinstance(value, bool)]
    if not names:
        return None
    lines = ((r.index, *("yes" if r.labels[name] else "no" for name in names)) for r in requests)
    return csv_text(("index", *names), lines)


def read_csv(path: Path) -> Labels:
    """Inverse of :func:`as_csv`; nothing where there is no file."""
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            found = {int(line.pop("index")): line for line in csv.DictReader(file)}
        if any(value is None for line in found.values() for value in line.values()):
            raise ValueError("a line is cut off")
        return found
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run the sweep again") from None


def split_by(results: Results, labels: Labels, name: str) -> Results:
    """The rows of metrics that have a value a clip, once for each value of a label; differences are left out.

    Raises:
        UserError: the run has no such label, or keeps no values of clips.
    """
    known = sorted({key for values in labels.values() for key in values})
    if name not in known:
        told = closest(name, known) if known else "this run has none (its protocol knows no labels, or it is older)"
        raise UserError(f"--by is {name!r}; {told}")
    kinds = sorted({values[name] for values in labels.values()})
    rows = [
        row_of(row, values, labels, name, kind)
        for row in results.rows
        if (values := values_of(row, results.per_clip))[0]
        for kind in kinds
    ]
    return replace(results, rows=rows, comparisons=(), flaws=(), curves=())


def values_of(row: Row, per_clip: Sequence[ClipValues]) -> tuple[dict[int, float], dict[int, Hashable]]:
    """index → value of the row's clips, of a cell with several trainings their mean; and index → its prompt."""
    found: dict[int, list[float]] = {}
    prompts: dict[int, Hashable] = {}
    for item in per_clip:
        same = item.cell == row.cell or item.cell.startswith(f"{row.cell}, seed ")
        if same and (item.ablation, item.metric) == (row.ablation, row.metric):
            for index, value in item.values.items():
                found.setdefault(index, []).append(value)
                prompts[index] = item.prompt(index)
    return {index: float(np.mean(values)) for index, values in found.items()}, prompts


def row_of(
    row: Row, found: tuple[Mapping[int, float], Mapping[int, Hashable]], labels: Labels, name: str, value: str
) -> Row:
    """``row`` over the clips with this value of the label."""
    values, prompts = found
    chosen = [i for i, v in values.items() if labels.get(i, {}).get(name) == value and np.isfinite(v)]
    cell = f"{row.cell} · {name}={value}"
    if len(chosen) < LEAST:
        why = f"absent: {counted(len(chosen), 'value')} of clips with {name}={value}; at least {LEAST} are needed"
        return replace(row, cell=cell, value=None, ci_low=None, ci_high=None, n=len(chosen), status=why)
    shown = mean_interval(np.array([values[i] for i in chosen]), groups=[prompts[i] for i in chosen])
    return replace(
        row, cell=cell, value=shown.value, ci_low=shown.low, ci_high=shown.high, n=shown.n, prompts=shown.prompts
    )
