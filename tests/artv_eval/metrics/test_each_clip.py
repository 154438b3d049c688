"""Clips of several lengths under one metric: the value of each is what it has by itself."""

import numpy as np
import pytest

from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.extras import EvaluatorExtras
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.each_clip import EachClip, of_sets
from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.metrics.statistics import paired_test


class Theirs(EvaluatorExtras):
    """A plugin's metric, without a curve."""

    name, digest, higher_is_better, needs = "theirs", "1", True, frozenset()

    def per_clip(self, rows):
        return rows.max(1)

    def evaluate(self, rows, reference=None):
        return float(rows.max(1).mean())


def clips(*lengths):
    made = [np.random.default_rng(n).integers(0, 256, (n, 8, 8, 3), np.uint8) for n in lengths]
    request = ClipRequest(index=0, prompt="", seed=0, num_frames=1, height=8, width=8, fps=8.0)
    return ClipSet([request] * len(made), lambda i: GeneratedClip(made[i]))


def test_values_and_curves_are_those_of_sets_of_one_clip():
    metric = curve("motion/slope")
    alone, some = EachClip(metric), clips(5, 9)
    rows, single = alone.describe(some), [metric.describe(some[i : i + 1]) for i in range(2)]
    assert alone.per_clip(rows) == pytest.approx([metric.evaluate(one) for one in single])
    both = (metric.curve(single[0]) + metric.curve(single[1])[:5]) / 2
    assert alone.curve(rows) == pytest.approx([*both, *metric.curve(single[1])[5:]])
    assert (alone.name, alone.higher_is_better) == ("motion/slope", metric.higher_is_better)


def test_a_plugins_metric_needs_a_value_a_clip_and_no_curve():
    alone = EachClip(Theirs())
    rows = alone.rows([np.array([1.0, 3.0]), np.array([2.0, 2.5, 0.5, 0.0])])
    assert alone.evaluate(rows) == 2.75 and alone.curve(rows) is None
    assert paired_test(alone, rows, rows - 1).difference == 1
    assert not of_sets(Theirs()) and of_sets(EvaluatorExtras()) and of_sets(KvdEvaluator.__new__(KvdEvaluator))
    assert of_sets(object()), "a metric that offers nothing beside the contract"


def test_a_metric_that_gives_no_values_after_all_is_told():
    class Nothing(Theirs):
        def per_clip(self, rows):
            return None

    with pytest.raises(ValueError, match=r"^per_clip\(\) gave None: it says nothing of single clips"):
        EachClip(Nothing()).rows([np.zeros(2), np.zeros(3)])
