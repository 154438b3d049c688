"""Statements about methods: seeds and clips both count; with no shared chance it is the t-test over seeds."""

import itertools

import numpy as np
import pytest
from scipy import stats

from artv.errors import UserError
from artv_eval.metrics.half_samples import student_t
from artv_eval.metrics.statistics import bootstrap_interval
from artv_eval.metrics.training_seeds import Measured, measured, over_seeds, quantile


class Mean:
    name, digest = "mean", "mean-1"

    def per_clip(self, rows):
        return rows[:, 0]

    def evaluate(self, rows, reference=None):
        return float(np.nanmean(rows[:, 0]))


class Squared(Mean):
    """A squared distance of means, which has no per-clip parts."""

    quadratic = True

    def per_clip(self, rows):
        return None

    def evaluate(self, rows, reference=None):
        return float(((rows.mean(0) - reference.mean(0)) ** 2).sum())

    def resample(self, rows, reference, index):
        return ((rows[index].mean(1) - reference.mean(0)) ** 2).sum(-1)


def rows_of(seed, S=4, n=30, between=1.0, shared=1.0, d=1):
    rng = np.random.default_rng(seed)
    prompts = rng.normal(size=(n, d)) * shared
    return [prompts + rng.normal(size=(n, d)) + rng.normal() * between + 3 for _ in range(S)]


def test_a_per_clip_metric_has_the_covariance_of_its_clips():
    rows = rows_of(0)
    found = measured(Mean(), rows)
    assert found.values == pytest.approx([part.mean() for part in rows])
    assert found.covariance == pytest.approx(np.cov(np.concatenate(rows, 1).T) / 30)


def test_without_shared_clips_it_is_the_t_test_over_seeds():
    values = np.array([-10.3, -6.3, -5.8, -8.6])  # FVD of the mask over four seeds
    found = over_seeds(Measured(values, np.diag([0.15] * 4), n=512))
    oracle = stats.ttest_1samp(values, 0)
    interval = oracle.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(oracle.pvalue)
    assert found.sd_trainings == pytest.approx(np.sqrt(values.var(ddof=1) - 0.15))


def test_without_spread_between_trainings_it_is_the_t_test_over_clips():
    clips = np.random.default_rng(1).normal(0.4, 1, 25)
    found = over_seeds(measured(Mean(), [clips[:, None]] * 3))
    oracle = stats.ttest_1samp(clips, 0)
    assert found.p_value == pytest.approx(oracle.pvalue) == pytest.approx(found.p_checkpoints)
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval()))
    assert found.sd_trainings == pytest.approx(0)


def test_the_level_at_which_the_interval_reaches_zero_is_the_p_value():
    found = over_seeds(measured(Mean(), rows_of(2)))
    edge = over_seeds(measured(Mean(), rows_of(2)), level=1 - found.p_value)
    assert min(abs(edge.low), abs(edge.high)) == pytest.approx(0, abs=1e-6 * edge.standard_error)


def test_differences_are_paired_by_seed_and_by_clip():
    a, b = rows_of(3), rows_of(4)
    together = measured(Mean(), [*a, *b]).difference(range(4), range(4, 8))
    alone = measured(Mean(), [x - y for x, y in zip(a, b, strict=True)])
    assert over_seeds(together).p_value == pytest.approx(over_seeds(alone).p_value)
    assert together.covariance == pytest.approx(alone.covariance)


def test_a_metric_of_the_set_has_the_covariance_of_repeated_sets():
    reference = np.zeros((1, 3))

    def values(seed):
        rows = rows_of(seed, S=3, n=40, between=0.0, d=3)
        return [Squared().evaluate(part, reference) for part in rows]

    truth = np.cov(np.array([values(seed) for seed in range(4000)]).T)
    found = np.mean([measured(Squared(), rows_of(k, 3, 40, 0.0, d=3), reference).covariance for k in range(40)], 0)
    assert found == pytest.approx(truth, rel=0.12)


def test_trainings_that_all_give_the_same_clips_have_the_interval_over_clips():
    """Bent as that is: the variance midway to each limit."""
    rows, reference = rows_of(6, S=1, n=20, d=3)[0], np.zeros((1, 3))
    found = over_seeds(measured(Squared(), [rows] * 3, reference))
    clips = bootstrap_interval(Squared(), rows, reference)
    assert (found.low, found.high) == pytest.approx((clips.low, clips.high))
    assert found.high - found.value > 1.02 * (found.value - found.low)


def test_each_limit_of_a_set_metric_has_the_variance_midway_to_it():
    both = measured(Squared(), rows_of(8, S=6, n=20, d=3), np.zeros((1, 3)), resamples=400)
    sides = both.at(range(3)), both.at(range(3, 6))
    for part in sides:
        found = over_seeds(part)
        reach, t = found.value - found.low, student_t(20, 0.95)
        growth = part.curvatures.mean() / found.se_clips**2  # half of the variance's, a unit of the metric
        up = found.high - found.value
        assert up**2 == pytest.approx(reach**2 + 2 * t**2 * found.standard_error**2 * growth * up) and up > reach
    apart = over_seeds(both.difference(range(3), range(3, 6)))
    assert apart.value - apart.low == pytest.approx(apart.high - apart.value)


def test_values_that_vary_the_more_the_larger_they_are_are_covered():
    """Quick; benchmarks/training_seeds_sets.py measures it well."""
    S, n, d, covered, symmetric = 4, 20, 2, [], []
    rng, reference = np.random.default_rng(9), np.zeros((1, d))
    truth = d * (0.6**2 + 0.2 + 2 / n)  # a shift, the trainings, and clips of variance 2
    for seed in range(250):
        prompts = rng.normal(size=(n, d))
        rows = [0.6 + prompts + rng.normal(size=(n, d)) + rng.normal(size=d) * 0.2**0.5 for _ in range(S)]
        found = over_seeds(measured(Squared(), rows, reference, resamples=60, seed=seed))
        covered.append(found.low <= truth <= found.high)
        symmetric.append(abs(found.value - truth) <= found.value - found.low)
    assert np.mean(covered) > 0.92 and np.mean(covered) > np.mean(symmetric) + 0.01


def test_clips_without_a_value_for_one_training_count_for_none():
    rows = rows_of(5, S=2)
    rows[1][3] = np.nan
    found = measured(Mean(), rows)
    assert found.n == 29 and found.values[0] == pytest.approx(np.delete(rows[0], 3).mean())


def test_one_seed_says_nothing_about_a_method():
    with pytest.raises(UserError, match="1 training seed: a statement about a method needs at least 2"):
        over_seeds(measured(Mean(), rows_of(0, S=1)))


RATIOS, SHARED = (0.0, 0.5, 0.8, 1.4, 2.5, 4.0, 8.0, 20.0), (0.0, 0.4, 0.6, 0.95)


@pytest.mark.parametrize("n", [12, 20, 200])
@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_sizes_by_numerical_integration_lie_within_3_and_7_percent(seeds, n):
    """The mean is normal, and the three mean squares behind its variance are chi-squared, whatever the two spreads."""
    degrees = (seeds - 1, n - 1, (seeds - 1) * (n - 1))
    ranks = np.clip(stats.qmc.Sobol(3, seed=0).random(4096), 1e-9, 1 - 1e-9)
    trainings, together, apart = (stats.chi2.ppf(u, d) / d for u, d in zip(ranks.T, degrees, strict=True))
    sizes = []
    for ratio, shared in itertools.product(RATIOS, SHARED):
        own = (ratio**2 + 1 - shared) / seeds
        a = own * trainings
        c = np.maximum((1 + (seeds - 1) * shared) * together - (1 - shared) * apart, 0) / seeds
        margin = quantile(0.025, a, c, seeds, n) * np.sqrt(a + c)
        sizes.append(2 * stats.norm.sf(margin / np.sqrt(own + shared)).mean())
    assert min(sizes) > 0.032 and max(sizes) < (0.063 if seeds == 2 else 0.052)


def test_the_quantile_goes_from_one_t_to_the_other():
    w = np.linspace(0, 1, 401)
    found = quantile(0.025, w, 1 - w, 3, 20)
    t_seeds, t_clips = stats.t.ppf(0.975, 2), stats.t.ppf(0.975, 19)
    k = np.sqrt(t_clips / t_seeds)
    assert (np.diff(found) >= 0).all()
    assert found[w <= k / 4] == pytest.approx(t_clips) and found[w >= k] == pytest.approx(t_seeds)
    assert quantile(0.025, 5 * k / 8, 1 - 5 * k / 8, 3, 20) == pytest.approx((t_seeds + t_clips) / 2)  # halfway


@pytest.mark.parametrize("seeds", [2, 4])
@pytest.mark.parametrize("ratio", [0.2, 2.0])
def test_tests_of_equal_methods_reject_seldom(seeds, ratio):
    n, p = 20, []
    rng = np.random.default_rng(7)
    for _ in range(400):
        clips = rng.normal(size=(n, 1)) * 0.7 + rng.normal(size=(n, seeds)) * 0.7
        p.append(over_seeds(measured(Mean(), list((clips + rng.normal(size=seeds) * ratio / n**0.5).T[..., None]))))
    assert np.mean([found.p_value < 0.05 for found in p]) < 0.08
    if ratio > 1:  # while the test of these checkpoints takes luck in training for an effect
        assert np.mean([found.p_checkpoints < 0.05 for found in p]) > 0.12
