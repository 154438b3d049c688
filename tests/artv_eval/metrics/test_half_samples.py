"""Spread and interval from half-samples against cases worked out by hand."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from artv_eval.metrics.base import SetEvaluator
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.half_samples import Halves, Spread, student_t
from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.metrics.statistics import bootstrap_interval, paired_test


class Mean(SetEvaluator):
    """The mean of the first column, as a metric without per-clip parts."""

    name, digest, needs, quadratic = "mean", "0", frozenset(), True

    def describe(self, clips):
        pytest.fail("statistics work on rows, without clips")

    def evaluate(self, rows, reference=None):
        return float(rows[:, 0].mean())


def sample(n, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, 1)) + shift


def test_spread_of_a_square_is_the_one_worked_out_by_hand():
    """(m + e)² for a mean m and its error e of variance v: 4 m² v, 2 v² and the curvature v."""
    x = sample(200, 0, 0.5)[:, 0]
    spread = Spread.of(lambda index: x[index].mean(1) ** 2, 200, 8000, 0)
    variance = x.var(ddof=1) / 200
    assert spread.odd == pytest.approx(4 * x.mean() ** 2 * variance, rel=0.06)
    assert spread.even == pytest.approx(2 * variance**2, rel=0.1)
    assert spread.curvature == pytest.approx(variance, rel=0.15)


def test_without_curvature_the_interval_of_a_mean_is_students():
    rows = sample(15, 1)
    interval = bootstrap_interval(Mean(), rows, resamples=8000)
    low, high = stats.t.interval(0.95, 14, rows.mean(), stats.sem(rows[:, 0]))
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.02)
    assert interval.standard_error == pytest.approx(stats.sem(rows[:, 0]), rel=0.03)


def test_paired_test_of_a_mean_is_students():
    a, b = sample(12, 2, 0.6), sample(12, 3)
    result, oracle = paired_test(Mean(), a, b, resamples=8000), stats.ttest_rel(a[:, 0], b[:, 0])
    assert result.p_value == pytest.approx(oracle.pvalue, abs=0.01)
    assert (result.low, result.high) == pytest.approx(tuple(oracle.confidence_interval()), abs=0.03)


def test_each_limit_has_the_variance_midway_to_it():
    spread = Spread(n=20, clips=20, odd=0.5, even=0.1, curvature=0.2)
    low, high = spread.limits(3.0, 0.95)
    t, error = stats.t.ppf(0.975, 19), spread.standard_error()
    assert error**2 == pytest.approx(0.5 - 0.1 * 20 / 84) and student_t(20, 0.95) == pytest.approx(t)
    assert (high - 3) ** 2 == pytest.approx(t**2 * (error**2 + 4 * 0.2 * (high - 3) / 2))
    assert low == pytest.approx(3 - t * error)  # not moved inwards
    falling = Spread(n=20, clips=20, odd=0.5, even=0.1, curvature=-0.2).limits(-3.0, 0.95)
    assert falling == pytest.approx((-high, -low))
    assert spread.standard_error(quadratic=True) ** 2 == pytest.approx(0.4)  # all of the even part is taken off
    assert spread.limits(3.0, 0.95, quadratic=True)[0] > low


def test_odd_clip_out_and_no_spread_at_all():
    assert Spread(n=3, clips=3, odd=1.0, even=0.0, curvature=0.0).standard_error() == pytest.approx(np.sqrt(1.5))
    assert bootstrap_interval(Mean(), np.ones((6, 1)), resamples=40).low == 1
    assert Spread.of(lambda index: np.zeros(len(index)), 6, 40, 0).limits(0.0, 0.95) == (0.0, 0.0)


def test_few_clips_of_a_steep_spectrum_are_covered_where_a_symmetric_interval_is_not(mean_features):
    """Quick; benchmarks/interval_coverage.py measures it well."""
    fvd, rng, scale = FvdEvaluator(mean_features), np.random.default_rng(0), 3 * np.arange(1, 17) ** -1.0
    reference = rng.normal(size=(400, 16)) * scale

    def fake():
        return rng.normal(size=(20, 16)) * 1.2 * scale

    expectation = np.mean([frechet_from_features(fake(), reference) for _ in range(1000)])
    found = [bootstrap_interval(fvd, fake(), reference, resamples=100, seed=k) for k in range(200)]
    covered = np.mean([i.low <= expectation <= i.high for i in found])
    symmetric = np.mean([abs(i.value - expectation) <= 1.96 * i.standard_error for i in found])
    assert covered >= 0.91 and covered > symmetric + 0.03


@pytest.mark.parametrize("kind", [FvdEvaluator, KvdEvaluator])
def test_interval_is_made_of_these_parts(mean_features, kind):
    metric, x, reference = kind(mean_features), sample(160, 4).reshape(20, 8), sample(320, 5).reshape(40, 8)
    interval = bootstrap_interval(metric, x, reference, resamples=60, seed=7)
    spread = Spread.of(partial(metric.resample, x, reference), 20, 60, 7)
    exact = kind is KvdEvaluator
    assert (interval.low, interval.high) == spread.limits(interval.value, 0.95, quadratic=exact)
    assert interval.standard_error == spread.standard_error(quadratic=exact)


def test_two_clips_have_an_interval_that_says_how_little_they_tell(mean_features):
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(64, 8))
    narrow = 0
    for k in range(10):
        interval = bootstrap_interval(FvdEvaluator(mean_features), rng.normal(size=(2, 8)), reference, seed=k)
        narrow += interval.high - interval.low < interval.value
    assert narrow <= 2


def test_a_kernel_distance_near_zero_keeps_an_interval_on_both_sides_of_it(mean_features):
    rng = np.random.default_rng(1)
    kvd, reference = KvdEvaluator(mean_features), rng.normal(size=(200, 8))
    found = [bootstrap_interval(kvd, rng.normal(size=(20, 8)), reference, resamples=100) for _ in range(60)]
    assert min(i.value for i in found) < 0
    assert np.mean([i.low <= 0.0 <= i.high for i in found]) >= 0.88


def test_clips_of_a_prompt_are_halved_together_and_corrected_by_their_number():
    """An identity of the mean: 12 prompts of 3 clips vary as their 12 means do; the share goes by the 36 clips."""
    x, groups = sample(12, 5).repeat(3, axis=0), np.arange(12).repeat(3)
    halves = Halves.of(lambda index: x[index].mean((1, 2)), 36, 4000, 0, groups)
    assert (halves.n, halves.clips) == (12, 36)
    spread = Spread.of_halves(halves)
    assert spread.standard_error() == pytest.approx(x[::3, 0].std(ddof=1) / np.sqrt(12), rel=0.05)
    wide = Spread(n=12, clips=36, odd=1.0, even=0.5, curvature=0.0)
    assert wide.standard_error() ** 2 == pytest.approx(1 - 0.5 * 36 / 100)
