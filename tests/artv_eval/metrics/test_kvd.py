"""KVD against torchmetrics' kernel distance, its resamples and their variance against sums written out."""

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from artv_eval.metrics import KernelVideoDistance
from artv_eval.metrics.half_samples import Spread
from artv_eval.metrics.jedi import JediEvaluator
from artv_eval.metrics.kvd import KvdEvaluator, unbiased_mmd
from artv_eval.metrics.statistics import set_value


def gaussian(n, d, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_kvd_equals_torchmetrics_kernel_distance():
    x, y = gaussian(40, 6, 0, 0.3), gaussian(40, 6, 1)
    assert unbiased_mmd(x, y) == pytest.approx(float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y))), rel=1e-9)


def test_kvd_does_not_grow_with_fewer_clips():
    values = [unbiased_mmd(gaussian(20, 8, 2 * k), gaussian(20, 8, 2 * k + 1)) for k in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)


def test_kvd_shards_add_up():
    x, y = gaussian(30, 8, 3).astype(np.float32), gaussian(25, 8, 4).astype(np.float32)
    whole, part = KernelVideoDistance(), KernelVideoDistance()
    for metric, a, b in ((whole, x[:10], y[:10]), (part, x[10:], y[10:])):
        metric.update(torch.from_numpy(a), real=False)
        metric.update(torch.from_numpy(b), real=True)
    whole.merge_state(part)
    assert float(whole.compute()) == pytest.approx(unbiased_mmd(x, y), rel=1e-9)


def kernel(a, b):
    return (a @ b.T / a.shape[1] + 1) ** 3


def test_resamples_are_means_over_pairs_of_different_clips(mean_features):
    x, y, rng = gaussian(9, 8, 5), gaussian(7, 8, 6), np.random.default_rng(0)
    real = np.mean([kernel(a[None], b[None]) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    index = rng.integers(9, size=(3, 9))
    wanted = [
        np.mean([kernel(x[[i]], x[[j]]) for i in row for j in row if i != j]) + real - 2 * kernel(x[row], y).mean()
        for row in index
    ]
    evaluator = KvdEvaluator(mean_features)
    np.testing.assert_allclose(evaluator.resample(x, y, index), wanted, rtol=1e-9)
    subset = rng.permutation(9)[:5]  # where there are no copies it is the metric of the rows
    np.testing.assert_allclose(evaluator.resample(x, y, subset[None])[0], evaluator.evaluate(x[subset], y), rtol=1e-9)
    alone = kernel(x[[2]], x[[2]]).item() + real - 2 * kernel(x[[2]], y).mean()
    assert evaluator.resample(x, y, np.full((1, 9), 2))[0] == pytest.approx(alone)  # no other pair is there


PROMPTS = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3, 4, 4])  # the prompt of each of 12 clips


def of_prompts(chosen):
    """The clips of these prompts, and which copy of which prompt each one belongs to."""
    clips = [(copy, prompt, clip) for copy, prompt in enumerate(chosen) for clip in np.flatnonzero(prompt == PROMPTS)]
    return np.array([clip for *_, clip in clips]), clips


def test_copies_of_a_prompt_are_no_pairs_either(mean_features):
    """Sums written out: two clips are a pair unless they are of two copies of one prompt, or one clip."""
    x, y = gaussian(12, 8, 5), gaussian(7, 8, 6)
    real = np.mean([kernel(a[None], b[None]) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    evaluator, plain, cubes = KvdEvaluator(mean_features), JediEvaluator(mean_features), kernel(x, x)
    for chosen in ([0, 0, 1, 2, 3], [4, 4, 4, 1, 0], [3, 2, 2, 1, 1], [0, 1, 2, 3, 4]):
        index, clips = of_prompts(chosen)
        pairs = [(i, j) for a, p, i in clips for b, q, j in clips if (i != j if a == b else p != q)]
        wanted = np.mean([cubes[pair] for pair in pairs]) + real - 2 * kernel(x[index], y).mean()
        assert evaluator.resample_prompts(x, y, index[None], PROMPTS)[0] == pytest.approx(wanted, rel=1e-9)
        square, cross = (x @ x.T / 8) ** 2, (x[index] @ y.T / 8) ** 2
        apart, own = np.mean([square[pair] for pair in pairs]), np.diagonal(square)[index].mean()
        inner = own / len(index) + (1 - 1 / len(index)) * apart
        wanted = 100 * (inner + ((y @ y.T / 8) ** 2).mean() - 2 * cross.mean())
        assert plain.resample_prompts(x, y, index[None], PROMPTS)[0] == pytest.approx(wanted, rel=1e-9)
    whole = evaluator.resample_prompts(x, y, np.arange(12)[None], PROMPTS)[0]
    assert whole == pytest.approx(evaluator.evaluate(x, y), rel=1e-9)


@pytest.mark.parametrize("kind", [KvdEvaluator, JediEvaluator])
def test_alike_clips_of_a_prompt_have_the_variance_that_further_sets_have(mean_features, kind):
    """12 prompts of 4 clips, 0.9 of the variance a prompt's; with pairs of copies it came out 1.6 and 1.7 times."""
    rng, groups, metric = np.random.default_rng(3), np.repeat(np.arange(12), 4), kind(mean_features)
    reference = rng.normal(size=(64, 8))

    def fresh():
        prompts, clips = rng.normal(size=(12, 8)).repeat(4, axis=0), rng.normal(size=(48, 8))
        return np.sqrt(0.9) * prompts + np.sqrt(0.1) * clips + 0.15

    true = np.var([metric.evaluate(fresh(), reference) for _ in range(1500)])
    found = [set_value(metric, fresh(), reference, groups=groups, resamples=60).halves for _ in range(200)]
    variance = np.mean([Spread.of_halves(halves).standard_error(quadratic=True) ** 2 for halves in found])
    assert 0.8 < variance / true < 1.3


def test_few_clips_have_the_variance_of_a_u_statistic(mean_features):
    """4 σ₁² / n + 2 σ₂² / n (n − 1) for a known reference, both without bias: U-centring (Székely and Rizzo 2014)."""
    n, x, y = 24, gaussian(24, 8, 7, 0.3), gaussian(60, 8, 8)
    cross = kernel(x, y).mean(1)
    h = kernel(x, x) - cross[:, None] - cross[None]
    np.fill_diagonal(h, 0)
    a = h.sum(0)
    centred = h - (a[:, None] + a[None]) / (n - 2) + a.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0)
    second = (centred**2).sum() / (n * (n - 3))
    first = (a.var(ddof=1) - (n - 2) * second) / (n - 2) ** 2
    halves = set_value(KvdEvaluator(mean_features), x, y, resamples=8000).halves
    assert halves.even.mean() == pytest.approx(unbiased_mmd(x, y), abs=0.02 * halves.even.std())
    error = Spread.of_halves(halves).standard_error(quadratic=True)
    assert error**2 == pytest.approx(4 * first / n + 2 * second / (n * (n - 1)), rel=0.08)
