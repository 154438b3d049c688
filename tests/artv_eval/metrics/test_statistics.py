"""Intervals and tests on data whose answers are known."""

import numpy as np
import pytest
from scipy import stats

from artv.errors import UserError
from artv_eval.metrics.base import MeanEvaluator
from artv_eval.metrics.extrapolation import FvdInfinityEvaluator, extrapolate
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.half_samples import half_samples
from artv_eval.metrics.statistics import (
    bootstrap_interval,
    holm,
    johnson_p,
    mean_difference_p,
    paired_means,
    paired_test,
    sign_flip_p,
    skewed_pairs,
    skewness,
)


class Column(MeanEvaluator):
    """The mean of the first column."""

    name, digest = "column", "0"

    def describe(self, clips):
        pytest.fail("statistics work on rows, without clips")

    def per_clip(self, rows):
        return rows[:, 0]


@pytest.fixture(scope="module")
def fvd(mean_features):
    return FvdEvaluator(mean_features)


def gaussian(n, d, seed, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * scale + shift


def test_interval_of_a_mean_agrees_with_students_t():
    rows = gaussian(40, 1, 0)
    interval = bootstrap_interval(Column(), rows, resamples=4000)
    low, high = stats.t.interval(0.95, 39, rows.mean(), stats.sem(rows[:, 0]))
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.04)
    assert interval.value == pytest.approx(rows.mean()) and interval.n == 40


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_of_a_set_without_a_finite_value_nothing_is_computed(fvd, value, monkeypatch):
    monkeypatch.setattr(FvdEvaluator, "evaluate", lambda self, rows, reference=None: value)
    monkeypatch.setattr(FvdEvaluator, "resample", lambda *asked: pytest.fail("it was resampled"))
    interval = bootstrap_interval(fvd, gaussian(8, 8, 0), gaussian(9, 8, 1), resamples=20)
    assert not np.isfinite(interval.value) and np.isnan(interval.standard_error)
    assert np.isnan(
        paired_test(fvd, gaussian(8, 8, 0), gaussian(8, 8, 1), gaussian(9, 8, 1), resamples=20).standard_error
    )


def test_interval_leaves_undefined_clips_out():
    rows = np.append(gaussian(20, 1, 1), [[np.nan]], 0)
    assert bootstrap_interval(Column(), rows).n == 20


def test_fvd_interval_has_the_spread_of_repeated_experiments_and_no_bias(fvd):
    d, n, reference = 8, 100, gaussian(200, 8, 2)
    repeats = np.array([frechet_from_features(gaussian(n, d, 100 + k, 0.2), reference) for k in range(300)])
    intervals = [bootstrap_interval(fvd, gaussian(n, d, 100 + k, 0.2), reference, resamples=200) for k in range(60)]
    assert np.mean([i.standard_error for i in intervals]) == pytest.approx(repeats.std(), rel=0.12)
    covered = np.mean([i.low <= repeats.mean() <= i.high for i in intervals])
    assert covered >= 0.88  # 95 % expected; the benchmark measures it well
    assert all(i.low < i.value < i.high for i in intervals)


def test_plain_percentiles_would_be_biased_upwards(fvd):
    """The reason for the half-samples: resamples lie above the value itself by about the bias of the value."""
    x, reference = gaussian(100, 8, 3), gaussian(5000, 8, 4)
    index = np.random.default_rng(0).integers(100, size=(100, 100))
    plain = fvd.resample(x, reference, index)
    assert np.quantile(plain, 0.025) > frechet_from_features(x, reference)


def test_same_seed_gives_the_same_interval(fvd):
    x, y = gaussian(50, 4, 5), gaussian(50, 4, 6)
    assert bootstrap_interval(fvd, x, y, resamples=50) == bootstrap_interval(fvd, x, y, resamples=50)
    assert bootstrap_interval(fvd, x, y, resamples=50, seed=1).low != bootstrap_interval(fvd, x, y, resamples=50).low


@pytest.mark.parametrize("n", [10, 11])
def test_half_samples_are_complementary(n):
    one, other = half_samples(n, np.random.default_rng(0))
    total = np.bincount(one, minlength=n) + np.bincount(other, minlength=n)
    assert len(one) == len(other) == n and (total == 2).all()


def test_sign_flip_is_exact_for_few_clips_and_near_the_t_test_for_many():
    few = np.array([0.4, 1.1, 0.3, 0.9, 0.2])
    assert sign_flip_p(few) == pytest.approx(2 / 2**5)
    many = gaussian(60, 1, 7, 0.25)[:, 0]
    assert sign_flip_p(many) == pytest.approx(stats.ttest_1samp(many, 0).pvalue, abs=0.01)
    assert sign_flip_p(np.zeros(20)) == 1


def test_pairing_finds_a_difference_that_is_small_beside_the_clips_own_spread():
    a = gaussian(60, 1, 8, scale=10)
    b = a + gaussian(60, 1, 9, -0.5, 0.5)
    result = paired_test(Column(), a, b)
    assert result.p_value < 0.001 and result.low < result.difference < result.high
    assert result.low > 0


def test_paired_fvd_of_different_and_of_equal_cells(fvd):
    reference, shared = gaussian(300, 6, 10), gaussian(150, 6, 11)
    near, far = shared + gaussian(150, 6, 12, 0, 0.3), shared + gaussian(150, 6, 13, 0.5, 0.3)
    result = paired_test(fvd, far, near, reference, resamples=200)
    assert result.difference > 0 and result.p_value < 0.001
    assert 0 < result.low < result.difference < result.high
    assert result.difference - result.low == pytest.approx(result.high - result.difference)
    again = shared + gaussian(150, 6, 14, 0, 0.3)
    assert paired_test(fvd, again, near, reference, resamples=200).p_value > 0.01
    assert paired_test(fvd, near, near, reference, resamples=200).p_value == 1


def test_pairs_must_match():
    with pytest.raises(UserError, match="same clips in both cells"):
        paired_test(Column(), np.zeros((3, 1)), np.zeros((4, 1)))


@pytest.mark.parametrize("arguments", [{"resamples": 5}, {"level": 95}])
def test_bad_settings_are_refused(arguments):
    with pytest.raises(UserError, match="resamples"):
        bootstrap_interval(Column(), np.zeros((3, 1)), **arguments)


def test_one_clip_has_no_interval():
    with pytest.raises(UserError, match="at least 2 clips"):
        bootstrap_interval(Column(), np.zeros((1, 1)))


def test_holm_is_the_textbook_procedure():
    p = [0.01, 0.04, float("nan"), 0.03, 0.005]
    assert holm(p)[:2] == pytest.approx([0.03, 0.06]) and holm(p)[3:] == pytest.approx([0.06, 0.02])
    assert np.isnan(holm(p)[2])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


@pytest.mark.parametrize("n", [8, 13, 20, 64])
def test_equal_cells_with_skewed_differences_are_rejected_in_five_percent(n):
    """Exponential differences; sign flips alone reject 10 % of them at n = 8. One standard error is 0.6 points."""
    rng = np.random.default_rng(n)
    repeats = [rng.exponential(size=n) - 1 for _ in range(1500)]
    rejected = np.mean([mean_difference_p(x, flips=500) < 0.05 for x in repeats])
    assert rejected == pytest.approx(0.05, abs=0.02 + 0.006)


@pytest.mark.parametrize(("n", "holds"), [(8, False), (20, True), (32, True)])
def test_the_caveat_stands_where_lognormal_differences_are_rejected_too_often(n, holds):
    """One standard error is 0.8 points."""
    rng = np.random.default_rng(n)
    repeats = [rng.lognormal(size=n) - np.exp(0.5) for _ in range(1000)]
    rejected = np.mean([mean_difference_p(x, flips=500) < 0.05 for x in repeats])
    assert (rejected <= 0.07 + 0.008) == holds
    assert n >= 20 or all(paired_means(x, resamples=20).caveat for x in repeats[:20])


@pytest.mark.parametrize(("sigma", "n"), [(1.0, 20), (1.5, 20), (1.5, 32)])
def test_rejections_of_skewed_equal_cells_without_a_caveat_are_few(sigma, n):
    """Lognormal differences, rejected in 7 to 8 % in all; normal ones are marked in less than a tenth."""
    rng = np.random.default_rng(n)
    repeats = [rng.lognormal(0, sigma, n) - np.exp(sigma**2 / 2) for _ in range(600)]
    rejected = [mean_difference_p(x, flips=400) < 0.05 for x in repeats]
    plain = [skewed_pairs(n, skewness(x)) is None for x in repeats]
    assert np.mean(np.logical_and(rejected, plain)) < 0.05 and np.mean(plain) < 0.2
    assert np.mean([skewed_pairs(n, skewness(rng.normal(size=n))) is not None for _ in range(600)]) < 0.1


@pytest.mark.parametrize("n", [20, 32])
def test_a_rare_difference_that_a_sample_lacks_nothing_in_it_shows(n):
    """One in 20 is large: (1 − 1/20)^n of samples have none and are rejected, and no rule of their values marks them.

    Of those that have one no more is rejected than should be. Differences without a large one are as even as normal
    ones: the share of the sum of squares that one difference holds is no larger.
    """
    rng, rounds = np.random.default_rng(n), 250
    rare = rng.random((rounds, n)) < 0.05
    samples = rare - 0.05 + 0.02 * rng.normal(size=(rounds, n))
    rejected = np.array([mean_difference_p(x, flips=500, seed=k) < 0.05 for k, x in enumerate(samples)])
    lacking, expected = ~rare.any(axis=1), 0.95**n
    assert abs(rejected.mean() - expected) < 3 * np.sqrt(expected * (1 - expected) / rounds)
    assert rejected[lacking].mean() > 0.98 and rejected[~lacking].mean() < 0.07

    def held(differences):
        return (differences**2).max(axis=1) / (differences**2).sum(axis=1)

    assert np.quantile(held(samples[lacking]), 0.99) < np.quantile(held(rng.normal(size=(rounds, n))), 0.5)
    assert (held(samples[~lacking]) > 0.5).mean() > 0.3  # what a rule of shares would mark was not rejected


def test_skewness_is_the_third_standardised_moment():
    x = np.random.default_rng(0).exponential(size=(5, 9))
    assert [skewness(part) for part in x] == pytest.approx(stats.skew(x, axis=1))
    assert skewness(np.full(7, 0.1)) == 0 and paired_means(x[0]).skewness == skewness(x[0])


def test_johnsons_t_is_students_where_nothing_is_skewed():
    few = np.array([-1.0, 3.0, 1.0, 2.5, -0.5, 0.2, 1.8])  # symmetric about 1
    assert johnson_p(few) == pytest.approx(stats.ttest_1samp(few, 0).pvalue, rel=1e-9)
    assert johnson_p(np.zeros(5)) == 1 and johnson_p(np.ones(5)) == 0


def test_five_pairs_cannot_reach_five_percent_and_six_can():
    assert mean_difference_p(np.arange(10.0, 15.0)) > 0.05 > mean_difference_p(np.arange(10.0, 16.0))


@pytest.mark.parametrize(("shift", "truth"), [(0.0, 0.0), (0.3, 16 * 0.09)])
def test_extrapolation_is_closer_to_the_truth_than_the_plain_value(shift, truth):
    pairs = [(gaussian(200, 16, 2 * k, shift), gaussian(200, 16, 2 * k + 1)) for k in range(40)]
    plain = np.array([frechet_from_features(x, y) for x, y in pairs])
    infinite = np.array([extrapolate(x, y) for x, y in pairs])
    assert np.abs(infinite - truth).mean() < 0.5 * np.abs(plain - truth).mean()
    x, y = pairs[0]
    assert extrapolate(x[::-1], y[::-1]) == pytest.approx(infinite[0], rel=1e-9)
    assert infinite.mean() == pytest.approx(truth, abs=0.12)


def test_extrapolation_with_too_few_clips_is_refused(mean_features):
    evaluator = FvdInfinityEvaluator(mean_features)
    assert evaluator.evaluate(gaussian(64, 8, 0), gaussian(40, 8, 1)) < 1
    with pytest.raises(UserError, match=r"needs 32 clips on both sides .* and has 31"):
        evaluator.evaluate(gaussian(64, 8, 0), gaussian(31, 8, 1))


def test_interval_of_the_extrapolated_distance(mean_features):
    x, y = gaussian(200, 8, 2, 0.3), gaussian(200, 8, 3)
    infinite = bootstrap_interval(FvdInfinityEvaluator(mean_features), x, y, resamples=60)
    plain = bootstrap_interval(FvdEvaluator(mean_features), x, y, resamples=60)
    assert infinite.value < plain.value and infinite.low < infinite.value < infinite.high
    assert infinite.standard_error == pytest.approx(plain.standard_error, rel=0.6)
