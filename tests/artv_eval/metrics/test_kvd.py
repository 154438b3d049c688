"""KVD against torchmetrics' kernel distance."""

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from artv_eval.metrics import KernelVideoDistance
from artv_eval.metrics.kvd import KvdEvaluator, unbiased_mmd


def gaussian(n, d, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_kvd_equals_torchmetrics_kernel_distance():
    x, y = gaussian(40, 6, 0, 0.3), gaussian(40, 6, 1)
    assert unbiased_mmd(x, y) == pytest.approx(float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y))), rel=1e-9)


def test_kvd_does_not_grow_with_fewer_clips():
    values = [unbiased_mmd(gaussian(20, 8, 2 * k), gaussian(20, 8, 2 * k + 1)) for k in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)


def test_kvd_shards_add_up_and_resampling_is_exact(mean_features):
    x, y = gaussian(30, 8, 3).astype(np.float32), gaussian(25, 8, 4).astype(np.float32)
    whole, part = KernelVideoDistance(), KernelVideoDistance()
    for metric, a, b in ((whole, x[:10], y[:10]), (part, x[10:], y[10:])):
        metric.update(torch.from_numpy(a), real=False)
        metric.update(torch.from_numpy(b), real=True)
    whole.merge_state(part)
    assert float(whole.compute()) == pytest.approx(unbiased_mmd(x, y), rel=1e-9)
    evaluator, index = KvdEvaluator(mean_features), np.random.default_rng(0).integers(30, size=(3, 30))
    np.testing.assert_allclose(evaluator.resample(x, y, index), [evaluator.evaluate(x[i], y) for i in index], rtol=1e-8)
