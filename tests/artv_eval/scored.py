"""Cells scored by hand, for tests of what a sweep makes of them."""

import numpy as np

from artv_eval.metrics.base import MeanEvaluator, SetEvaluator
from artv_eval.sweep.over_seeds import Replicates
from artv_eval.sweep.plan import Cell, ProtocolRef
from artv_eval.sweep.score_cells import Scored


class Mean(MeanEvaluator):
    """The mean of the first number of a clip; its curve is the mean over clips."""

    name, digest, higher_is_better = "mean", "0", True

    def describe(self, clips):
        raise AssertionError("what is tested here needs no clips")

    def per_clip(self, rows):
        return rows[:, 0]

    def curve(self, rows):
        return rows.mean(0)


class Shift(SetEvaluator):
    """The squared distance of two means: a metric of the whole set."""

    name, digest, higher_is_better, quadratic = "shift", "0", False, True
    describe = Mean.describe

    def evaluate(self, rows, reference=None):
        return float(((rows.mean(0) - self.reference(reference).mean(0)) ** 2).sum())

    def resample(self, rows, reference, index_Rn):
        return ((rows[index_Rn].mean(1) - reference.mean(0)) ** 2).sum(-1)


class Cost(Mean):
    """What making a clip takes."""

    name, higher_is_better, is_cost = "seconds", False, True


def scored(name, values, *, metric=None, ablation="mask", positions=None, status="ok", **other):
    """A cell with ``values`` (n,) or (n, d), or None; ``other``: fields of the cell, or of what is scored."""
    rows = values if values is None or np.ndim(values) > 1 else np.asarray(values, np.float64)[:, None]
    of_scored = {key: other.pop(key) for key in ("reference", "failed", "seeds_per_prompt", "known") if key in other}
    cell = Cell(
        ablation=ablation, name=name, status=status, protocol=ProtocolRef(name="toy@1", hash="abc"),
        **{"label": "artv", **other},
    )  # fmt: skip
    at = range(0 if rows is None else len(rows)) if positions is None else positions
    return Scored(
        cell=cell, evaluator=metric or Mean(), rows=rows, positions=at, status=status,
        **{"reference": None, **of_scored},
    )  # fmt: skip


def trained(name, by_seed, **other):
    """A cell trained under several seeds: seed → its clips' values."""
    return Replicates(items=[scored(name, values, seed=seed, **other) for seed, values in by_seed.items()])


def single(name, values, **other):
    """A cell by itself."""
    return Replicates(items=[scored(name, values, **other)])
