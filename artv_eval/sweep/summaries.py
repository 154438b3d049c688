"""From described clips to what is shown: a row a cell, differences in pairs, curves, and what the metrics can see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.metrics import statistics
from artv_eval.metrics.bands import banded_curve
from artv_eval.metrics.base import features_of
from artv_eval.metrics.statistics import bootstrap_interval, holm, per_clip
from artv_eval.metrics.training_seeds import OverSeeds
from artv_eval.results.rows import ClipValues, Comparison, Curve, Flaw, Row, is_number, noted, reason
from artv_eval.sweep.over_seeds import (
    CHECKPOINTS,
    METHOD,
    Replicates,
    difference_over_seeds,
    mean_curves,
    value_over_seeds,
)
from artv_eval.sweep.score_cells import Scored

FLAWS = {"copy-first": "no motion", "wrong-prompt": "the wrong text"}
REAL = "real"


def row_of(group: Replicates, protocol: str, protocol_hash: str) -> Row:
    """The row of the table; a value that cannot be computed is a status, not a crash."""
    scored, found, status = group.first, None, group.first.status
    cell, cost = scored.cell, is_cost(group)
    if scored.rows is not None:
        try:
            found = value_over_seeds(group) if group.about == METHOD else _of_one(scored)
        except Exception as error:
            status = reason(error)
    return Row(
        ablation=cell.ablation,
        cell=cell.name,
        method=cell.method.name if cell.method else cell.label,
        metric=scored.evaluator.name,
        value=found.value if found else None,
        ci_low=found.low if found and not cost else None,
        ci_high=found.high if found and not cost else None,
        n=found.n if found else 0,
        prompts=found.prompts if found else None,
        protocol=protocol,
        protocol_hash=protocol_hash,
        status=status,
        higher_is_better=scored.evaluator.higher_is_better,
        sanity=cell.sanity,
        failed=sum(item.failed for item in group.there),
        seeds=len(group.seeds) or None,
        about=group.about,
        by_seed=tuple(zip(group.seeds, found.each, strict=True)) if isinstance(found, OverSeeds) else None,
        **(
            {**components(found), "standard_error": found.standard_error}
            if isinstance(found, OverSeeds) and not cost
            else {}
        ),
        train_steps=cell.length,
        failed_seeds=len(group.failed),
        features=features_of(scored.evaluator),
    )


def _of_one(scored: Scored) -> statistics.Interval:
    assert scored.rows is not None
    return bootstrap_interval(
        scored.evaluator, scored.rows, scored.reference, groups=scored.prompts, known=scored.known
    )


def components(found: OverSeeds) -> dict[str, Any]:
    """The two components of a value's or a difference's chance."""
    return {"sd_trainings": found.sd_trainings, "se_clips": found.se_clips}


def is_cost(group: Replicates) -> bool:
    """A cost says how clips were made, not what they are: it has no interval over clips and is not tested."""
    return bool(optional(group.first.evaluator, EvaluatorExtras, "is_cost"))


def curves_of(groups: Sequence[Replicates], lines: list[str]) -> list[Curve]:
    """The curves over the frame index, of the metrics that have one; over training seeds their mean.

    ``lines``: gets one for each that fails.
    """
    found = []
    for item in (item for group in groups for item in group.there):
        assert item.rows is not None
        name, curve = item.evaluator.name, None
        with noted(lines, f"{name}: {item.cell.title} has no curve"):
            curve = banded_curve(item.evaluator, item.rows, item.reference, item.prompts)
        if curve is not None:
            found.append(Curve(ablation=item.cell.ablation, cell=item.cell.name, metric=name, **curve))
    return mean_curves(found)


def per_clip_of(scored: Sequence[Scored], indices: Sequence[int]) -> list[ClipValues]:
    """The values of single clips, of the metrics that have them; ``indices``: of all requests."""
    found = []
    for item in scored:
        values = None if item.rows is None else per_clip(item.evaluator, item.rows)
        if values is not None:
            own = [indices[position] for position in item.positions]
            found.append(
                ClipValues(
                    ablation=item.cell.ablation,
                    cell=item.cell.title,
                    metric=item.evaluator.name,
                    values=dict(zip(own, map(float, values), strict=True)),
                    prompts=dict(zip(own, item.prompts, strict=True)),
                )
            )
    return found


def pairs(groups: Sequence[Replicates]) -> list[tuple[Replicates, Replicates]]:
    """Per ablation, metric and length of training: the first cell that is no sanity cell, with every other one."""
    found: dict[tuple[str, str, int | None], list[Replicates]] = {}
    for group in groups:
        cell = group.first.cell
        if group.there and not cell.sanity:
            found.setdefault((cell.ablation, group.first.evaluator.name, cell.length), []).append(group)
    return [(same[0], other) for same in found.values() for other in same[1:]]


@dataclass(frozen=True, kw_only=True)
class _Tested:
    """A pair with its difference. ``p_value`` speaks of ``about``; ``p_checkpoints`` of these models."""

    a: Replicates
    b: Replicates
    found: Any
    about: str | None
    seeds: int | None
    p_value: float
    p_checkpoints: float


def comparisons_of(groups: Sequence[Replicates]) -> tuple[list[Comparison], list[str]]:
    """Paired differences on shared prompts and seeds, their p-values corrected over all of them (Holm 1979).

    Also a line for each pair that could not be compared.
    """
    tested: list[_Tested] = []
    untested: list[str] = []
    for a, b in pairs([group for group in groups if not is_cost(group)]):
        try:
            tested.append(_checked(_tested(a, b)))
        except Exception as error:
            names = f"{a.first.cell.name} and {b.first.cell.name}"
            untested.append(f"{a.first.evaluator.name}: {names} are not compared: {reason(error)}")
    corrected = holm([item.p_value for item in tested])
    return [_comparison(item, p_holm) for item, p_holm in zip(tested, corrected, strict=True)], untested


def _tested(a: Replicates, b: Replicates) -> _Tested:
    both = a.about == b.about == METHOD
    over = difference_over_seeds(a, b)
    if over is not None:
        p_value = over.p_value if both else max(over.p_value, over.p_checkpoints)
        about, seeds = METHOD if both else CHECKPOINTS, over.seeds
        return _Tested(
            a=a, b=b, found=over, about=about, seeds=seeds, p_value=p_value, p_checkpoints=over.p_checkpoints
        )
    found = _paired(a, b)
    learnt = CHECKPOINTS if a.about or b.about else None
    p = found.p_value
    return _Tested(a=a, b=b, found=found, about=learnt, seeds=1 if a.seeds else None, p_value=p, p_checkpoints=p)


def _checked(item: _Tested) -> _Tested:
    numbers = (item.p_value, item.found.low, item.found.high)
    if not all(is_number(number) for number in numbers):
        raise ValueError("the difference is no finite number")
    return item


def _comparison(item: _Tested, p_holm: float) -> Comparison:
    found, cell = item.found, item.a.first.cell
    return Comparison.of(
        found,
        ablation=cell.ablation,
        metric=item.a.first.evaluator.name,
        a=cell.name,
        b=item.b.first.cell.name,
        p_value=item.p_value,
        p_holm=p_holm,
        seeds=item.seeds,
        about=item.about,
        p_checkpoints=item.p_checkpoints,
        **(components(found) if isinstance(found, OverSeeds) else {}),
    )


def spreads_of(comparisons: Sequence[Comparison]) -> list[str]:
    """A line for each pair over training seeds: by how much its differences vary from either source of chance."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for pair in comparisons:
        if pair.sd_trainings is not None and pair.se_clips is not None:
            spread = f"{pair.metric} ± {pair.sd_trainings:.2g} and ± {pair.se_clips:.2g}"
            lines.setdefault((pair.ablation, pair.a, pair.b), []).append(spread)
    return [
        f"{ablation}: {a} − {b} varies between trainings (standard deviation) and over clips (standard error of one "
        f"training's): {', '.join(parts)}"
        for (ablation, a, b), parts in lines.items()
    ]


def _paired(one: Replicates, other: Replicates) -> statistics.Comparison:
    """Over the clips that both cells have; of trainings, those of one seed."""
    shared = [seed for seed in one.seeds if seed in other.seeds]
    a = next((item for item in one.there if item.cell.seed in shared), one.first)
    b = next((item for item in other.there if item.cell.seed == a.cell.seed), other.first)
    assert a.rows is not None and b.rows is not None
    both = sorted(set(a.positions) & set(b.positions))
    at_a, at_b = np.searchsorted(a.positions, both), np.searchsorted(b.positions, both)
    whole = len(both) == len(a.positions) == len(b.positions) and a.known is not None and b.known is not None
    known = (a.known, b.known) if whole and a.known and b.known else None
    prompts = [a.prompts[i] for i in at_a]
    return statistics.paired_test(a.evaluator, a.rows[at_a], b.rows[at_b], a.reference, groups=prompts, known=known)


def flaws_of(rows: Sequence[Row]) -> list[Flaw]:
    """For each metric and each sanity method: does the metric tell it from the real clips, and from the first cell?

    A metric that cannot tell a model from a still or from the wrong text says nothing about the model.
    """
    found: dict[tuple[str, str, str], Flaw] = {}
    for row in rows:
        if row.method not in FLAWS or row.value is None or row.ci_low is None:
            continue
        same = [other for other in rows if other.metric == row.metric and other.ablation == row.ablation]
        first = [other for other in same if not other.sanity][:1]
        for other in (*(other for other in same if other.method == REAL), *first):
            if other.value is not None:
                found[row.metric, row.method, other.cell] = _flaw(row, other)
    return list(found.values())


def _flaw(row: Row, other: Row) -> Flaw:
    assert row.ci_low is not None and row.ci_high is not None and other.ci_low is not None and other.ci_high is not None
    apart = row.ci_low > other.ci_high or other.ci_low > row.ci_high
    answer = "yes (intervals do not overlap)" if apart else f"no (intervals overlap at n = {row.n})"
    text = f"{row.metric} separates {row.method} ({FLAWS[row.method]}) from {other.cell}: {answer}"
    return Flaw(metric=row.metric, flaw=row.method, other=other.cell, seen=apart, text=text)
