"""The results of several runs in one: cells of one name that stand for different things get names of their own.

They differ where both have a value of one metric and it is another, or where they were trained for different lengths:
``mask=on @3500`` and ``mask=on @11036`` where the length tells all of them apart, else ``RUN: mask=on``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from artv_eval.results.rows import ClipValues, Comparison, Results, Row

T = TypeVar("T")
Cell = tuple[str | None, str]
"""Ablation and name."""


def merged(several: Mapping[str, Results]) -> Results:
    """Name of the run → its results, as one; rows keep their own protocols."""
    if len(several) == 1:
        return next(iter(several.values()))
    apart = _apart(several)
    parts = [_renamed(results, _names(results, run, apart)) for run, results in several.items()]

    def every(name: str) -> list[Any]:
        return list(dict.fromkeys(item for part in parts for item in getattr(part, name)))

    return Results(
        run=", ".join(str(results.run) for results in several.values()),
        rows=_once(every("rows"), _value),
        comparisons=_once(every("comparisons"), _test),
        flaws=every("flaws"),
        curves=every("curves"),
        notes=_notes(several),
        bad_files=every("bad_files"),
        per_clip=[item for part in parts for item in part.per_clip],
    )


def _notes(several: Mapping[str, Results]) -> list[str]:
    """What all runs say, once; what only some say, each with its run, for it is of their cells."""
    every = set.intersection(*(set(results.notes) for results in several.values()))
    said = [(run, note) for run, results in several.items() for note in results.notes]
    return list(dict.fromkeys(note if note in every else f"{run}: {note}" for run, note in said))


def _once(items: Sequence[T], parts: Callable[[T], tuple[T, Any]]) -> list[T]:
    """Each of them once. ``parts``: what two runs say alike, and the rest, of which the larger is kept."""
    found: dict[T, T] = {}
    for item in items:
        same, _ = parts(item)
        found[same] = max(found.get(same, item), item, key=lambda one: parts(one)[1])
    return list(found.values())


def _value(row: Row) -> tuple[Row, int]:
    """Older results do not say what each training came to, nor the standard error; of another order of sums the last
    digits differ."""
    numbers = {name: getattr(row, name) for name in ("value", "ci_low", "ci_high", "sd_trainings", "se_clips")}
    rounded: dict[str, Any] = {
        name: None if number is None else float(f"{number:.6g}") for name, number in numbers.items()
    }
    return replace(row, by_seed=None, standard_error=None, **rounded), len(row.by_seed or ()) + (
        row.standard_error is not None
    )


def _test(pair: Comparison) -> tuple[Comparison, float]:
    """A test that two runs made is one, with the p-value that was corrected over more comparisons."""
    return replace(pair, p_holm=0.0), pair.p_holm


def _apart(several: Mapping[str, Results]) -> dict[Cell, bool]:
    """Cells that are different things in different runs, each with whether its lengths of training tell them apart."""
    found: dict[Cell, list[tuple[str, Row]]] = {}
    for run, results in several.items():
        for row in results.rows:
            found.setdefault((row.ablation, row.cell), []).append((run, row))
    return {cell: _by_length(its) for cell, its in found.items() if _differ(row for _, row in its)}


def _differ(rows: Any) -> bool:
    """Whether rows of one name are not of one thing."""
    rows = [_value(row)[0] for row in rows]
    first = {row.metric: row for row in reversed(rows)}
    return any(row != first[row.metric] or row.train_steps != rows[0].train_steps for row in rows)


def _by_length(its: Sequence[tuple[str, Row]]) -> bool:
    lengths: dict[int | None, list[Row]] = {}
    for _, row in its:
        lengths.setdefault(row.train_steps, []).append(row)
    return None not in lengths and not any(_differ(rows) for rows in lengths.values())


def _names(results: Results, run: str, apart: Mapping[Cell, bool]) -> dict[Cell, str]:
    """Cell → its new name, of those that need one."""
    names = {}
    for row in results.rows:
        cell = (row.ablation, row.cell)
        if cell in apart:
            names[cell] = f"{row.cell} @{row.train_steps}" if apart[cell] else f"{run}: {row.cell}"
    return names


def _renamed(results: Results, names: Mapping[Cell, str]) -> Results:
    def named(ablation: str | None, cell: str) -> str:
        return names.get((ablation, cell), cell)

    def each(items: Sequence[Any]) -> list[Any]:
        return [replace(item, cell=named(item.ablation, item.cell)) for item in items]

    def one(item: ClipValues) -> ClipValues:  # of one training, which its name says
        cell, seed, number = item.cell.partition(", seed ")
        return replace(item, cell=named(item.ablation, cell) + seed + number)

    plain = {cell: name for (_, cell), name in names.items()}
    others = [(flaw, plain.get(flaw.other, flaw.other)) for flaw in results.flaws]
    return replace(
        results,
        rows=each(results.rows),
        curves=each(results.curves),
        per_clip=[one(item) for item in results.per_clip],
        flaws=[replace(flaw, other=name, text=flaw.text.replace(flaw.other, name)) for flaw, name in others],
        comparisons=[replace(p, a=named(p.ablation, p.a), b=named(p.ablation, p.b)) for p in results.comparisons],
    )
