"""Clips of one prompt go together: against the formulas written out, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from artv_eval.metrics.clusters import Totals, as_groups, members
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.metrics.statistics import bootstrap_interval, johnson_p, paired_means, paired_test, sign_flip_p
from artv_eval.metrics.training_seeds import measured, over_seeds


class Mean(FvdEvaluator):
    """The mean of one number a clip."""

    def per_clip(self, rows):
        return rows[:, 0]


class Features:
    name, digest, dim = "gaussian", "0", 4


MEAN = Mean(Features())


def clustered(seed, prompts=12, seeds=4, icc=0.8, d=1):
    rng = np.random.default_rng(seed)
    own = np.repeat(rng.normal(size=(prompts, d)), seeds, axis=0)
    return np.sqrt(icc) * own + np.sqrt(1 - icc) * rng.normal(size=own.shape), np.repeat(np.arange(prompts), seeds)


def test_groups_are_of_shared_prompts_only():
    assert as_groups("abca").tolist() == [0, 1, 2, 0]
    assert as_groups("abcd") is None and as_groups("aaaa") is None
    assert [part.tolist() for part in members(np.array([1, 0, 1]))] == [[1], [0, 2]]


def test_the_standard_error_is_the_cluster_robust_one():
    x, groups = clustered(0)
    kept = np.delete(np.arange(len(x)), [1, 2, 17])  # prompts of 2, 3 and 4 clips
    values, which = x[kept, 0], groups[kept]
    G, n = 12, len(kept)
    score = np.array([(values[which == g] - values.mean()).sum() for g in range(G)])
    expected = np.sqrt(G / (G - 1) * (score**2).sum()) / n  # of an intercept alone: Liang and Zeger 1986, eq. 10
    assert Totals.of(values, which).standard_error() == pytest.approx(expected, rel=1e-12)
    found = bootstrap_interval(MEAN, x[kept], groups=which)
    assert found.standard_error == pytest.approx(expected, rel=1e-12)
    assert (found.n, found.prompts, found.value) == (n, G, pytest.approx(values.mean()))
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, G - 1) * expected, rel=0.15)


def test_equal_prompts_give_what_their_means_give():
    x, groups = clustered(1)
    y, _ = clustered(2)
    means = (x - y)[:, 0].reshape(12, 4).mean(1)
    found = paired_test(MEAN, x, y, groups=groups)
    assert found.p_value == pytest.approx(max(sign_flip_p(means), johnson_p(means)))
    assert found.standard_error == pytest.approx(means.std(ddof=1) / np.sqrt(12)) and found.prompts == 12
    alone, by_mean = paired_means((x - y)[:, 0]), paired_means(means)
    assert found.low == pytest.approx(by_mean.low) and alone.standard_error < found.standard_error


@pytest.mark.parametrize("kind", [FvdEvaluator, KvdEvaluator])
def test_set_metrics_halve_prompts(kind):
    rng, metric = np.random.default_rng(0), kind(Features())
    x, groups = clustered(3, prompts=20, icc=1.0, d=4)  # clips of a prompt are one clip
    reference = rng.normal(size=(64, 4))
    found = bootstrap_interval(metric, x, reference, groups=groups, resamples=400)
    alone = bootstrap_interval(metric, x, reference, resamples=400)
    assert found.prompts == 20 and found.n == 80 and found.value == alone.value
    further = [metric.evaluate(clustered([8, k], prompts=20, icc=1.0, d=4)[0], reference) for k in range(400)]
    assert (
        found.standard_error == pytest.approx(np.std(further), rel=0.35) and found.standard_error > alone.standard_error
    )
    lost = np.delete(np.arange(80), [0, 5, 6, 50])  # half-samples of unequal size
    part = bootstrap_interval(metric, x[lost], reference, groups=groups[lost], resamples=400)
    assert part.standard_error == pytest.approx(found.standard_error, rel=0.35) and part.n == 76
    moved = paired_test(metric, x + 3, x, reference, groups=groups, resamples=100)
    assert moved.prompts == 20 and moved.p_value < 0.01


def test_over_training_seeds_covariance_is_of_prompts():
    rng = np.random.default_rng(5)
    shared, groups = clustered(4)
    rows = [shared + 0.1 * rng.normal(size=shared.shape) for _ in range(3)]
    found = measured(MEAN, rows, groups=groups)
    means = np.stack([part[:, 0].reshape(12, 4).mean(1) for part in rows], 1)
    assert found.covariance == pytest.approx(np.cov(means.T) / 12) and (found.n, found.prompts) == (48, 12)
    result = over_seeds(found)
    clips_alone = over_seeds(measured(MEAN, rows))
    assert result.prompts == 12 and result.n == 48 and result.low < clips_alone.low


@pytest.mark.parametrize("icc", [0.0, 0.9])
def test_intervals_cover_however_alike_clips_are(icc):
    """4 seeds of 50 prompts; benchmarks/clustered_coverage.py measures more."""
    hits = []
    for k in range(1000):
        x, groups = clustered([7, k], prompts=50, icc=icc)
        found = bootstrap_interval(MEAN, x, groups=groups, resamples=400, seed=k)
        hits.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(hits) <= 0.97
