"""Rows and comparisons of cells that were trained under several seeds: one each, over seeds and clips.

Shape suffixes: n clips, M models, S seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from artv_eval.metrics.bands import band_over_trainings, points
from artv_eval.metrics.base import curve_values, mean_where_defined
from artv_eval.metrics.compute_worth import worth
from artv_eval.metrics.training_seeds import Measured, OverSeeds, measured, over_seeds
from artv_eval.results.rows import Comparison, Curve, noted
from artv_eval.sweep.score_cells import Scored

METHOD, CHECKPOINTS = "method", "checkpoints"
"""What a value, an interval or a test speaks of."""


@dataclass(frozen=True, kw_only=True)
class Replicates:
    """What a metric found of one cell: one ``Scored`` a training seed, or a single one."""

    items: Sequence[Scored]

    @property
    def first(self) -> Scored:
        """One that has rows, or else any: it stands for the cell where only one can."""
        return next(iter(self.there), self.items[0])

    @property
    def there(self) -> list[Scored]:
        """Those with rows."""
        return [item for item in self.items if item.rows is not None]

    @property
    def seeds(self) -> list[int]:
        """Training seeds with rows."""
        return [item.cell.seed for item in self.there if item.cell.seed is not None]

    @property
    def failed(self) -> list[Scored]:
        """Those whose training failed."""
        return [item for item in self.items if item.cell.status.startswith("failed: training")]

    @property
    def about(self) -> str | None:
        """``method`` from two training seeds on, ``checkpoints`` where weights were learnt at all, else None."""
        if len(self.seeds) > 1:
            return METHOD
        learnt = self.items[0].cell.checkpoint is not None or self.items[0].cell.training is not None
        return CHECKPOINTS if learnt else None


def replicates(scored: Sequence[Scored]) -> list[Replicates]:
    """In order; the cells of one name in an ablation are one."""
    groups: dict[tuple[str, str, str], list[Scored]] = {}
    for item in scored:
        groups.setdefault((item.evaluator.name, item.cell.ablation, item.cell.name), []).append(item)
    return [Replicates(items=items) for items in groups.values()]


def value_over_seeds(group: Replicates) -> OverSeeds:
    """The cell's mean. Raises what the metric raises."""
    return over_seeds(_measured(group.there))


def difference_over_seeds(a: Replicates, b: Replicates) -> OverSeeds | None:
    """The mean of a − b, seed by seed; None where fewer than two seeds make a pair.

    A cell that was trained once, or not at all, is the same for every seed of the other.
    """
    seeds = sorted(set(a.seeds) & set(b.seeds)) if a.seeds and b.seeds else sorted({*a.seeds, *b.seeds})
    if len(seeds) < 2:
        return None
    items = [*_of(a, seeds), *_of(b, seeds)]
    count = len(seeds)
    return over_seeds(_measured(items).difference(range(count), range(count, 2 * count)))


def _of(group: Replicates, seeds: Sequence[int]) -> list[Scored]:
    if not group.seeds:
        return [group.first] * len(seeds)
    at = {item.cell.seed: item for item in group.there}
    return [at[seed] for seed in seeds]


def _measured(items: Sequence[Scored]) -> Measured:
    """Over the clips that all of them have."""
    shared = sorted(set.intersection(*(set(item.positions) for item in items)))
    rows = []
    for item in items:
        assert item.rows is not None
        rows.append(item.rows[np.searchsorted(item.positions, shared)])
    known = [item.known for item in items if item.known is not None and len(item.positions) == len(shared)]
    whole = known if len(known) == len(items) else None
    prompts = [position // items[0].seeds_per_prompt for position in shared]
    return measured(items[0].evaluator, rows, items[0].reference, groups=prompts, known=whole)


def worth_in_training(groups: Sequence[Replicates]) -> list[str]:
    """A line for each metric and two cells that were trained for several lengths: how many times as long one takes."""
    sides: dict[tuple[str, str], dict[str, dict[int, Replicates]]] = {}
    for group in groups:
        cell, evaluator = group.first.cell, group.first.evaluator
        if cell.length is not None and group.about == METHOD and evaluator.higher_is_better is not None:
            names = sides.setdefault((cell.ablation, evaluator.name), {})
            names.setdefault(cell.name.partition(" @")[0], {})[cell.length] = group
    lines: list[str] = []
    for (ablation, metric), names in sides.items():
        (first, a), *others = names.items()
        for name, b in others:
            lengths = sorted(a.keys() & b.keys())
            both = [side[length] for side in (a, b) for length in lengths]
            seeds = sorted(set.intersection(*(set(group.seeds) for group in both))) if both else []
            if len(lengths) > 1 and len(seeds) > 1:
                with noted(lines, f"{ablation}: {metric} of {first} and {name} against training"):
                    items = [item for group in both for item in _of(group, seeds)]
                    lines.append(
                        f"{ablation}: {worth(_measured(items), lengths, len(seeds)).text(first, name, metric)}"
                    )
    return lines


def mean_curves(curves: Sequence[Curve]) -> list[Curve]:
    """The curves, those of one cell's trainings averaged."""
    groups: dict[tuple[str | None, str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.ablation, curve.cell, curve.metric), []).append(curve)
    return [same[0] if len(same) == 1 else _mean_curve(same) for same in groups.values()]


def _mean_curve(same: Sequence[Curve]) -> Curve:
    values_ST = np.array([curve.values for curve in same], np.float64)
    low, high = points(band_over_trainings(values_ST))
    return replace(same[0], values=curve_values(mean_where_defined(values_ST)), low=low, high=high)


def few_seeds(comparisons: Sequence[Comparison]) -> list[str]:
    """A line where tests are over two trainings: what they are worth (``benchmarks/results/training_seeds.md``)."""
    if not any(pair.about == METHOD and pair.seeds == 2 for pair in comparisons):
        return []
    return [
        "2 training seeds: in 3.4 to 6.3 % of cases the 5 % test finds a difference of equal methods, and intervals "
        "are wide (Student's t with 1 degree of freedom); a third seed tells far more"
    ]


def lost_seeds(groups: Sequence[Replicates]) -> list[str]:
    """A line for each cell of which some training failed."""
    lines: dict[str, None] = {}
    for group in groups:
        if group.failed and group.there:
            reasons = "; ".join(item.cell.status.removeprefix("failed: ") for item in group.failed)
            lines[f"{group.first.cell.name}: {reasons}; its values are over {len(group.seeds)} other trainings"] = None
    return list(lines)
