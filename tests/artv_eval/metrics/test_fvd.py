"""FVD as a torchmetrics metric and as an evaluator."""

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval.metrics import FrechetVideoDistance
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.fvd import FvdEvaluator


def rows(n, d, seed, shift=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)) * 3 + shift + 5)


def sharded(real, fake, shards):
    """One metric a shard, reduced as torchmetrics does it across processes: states summed."""
    parts = [FrechetVideoDistance(dim=real.shape[1]) for _ in range(shards)]
    for part, r, f in zip(parts, real.chunk(shards), fake.chunk(shards), strict=True):
        part.update(r, real=True)
        part.update(f, real=False)
    total = FrechetVideoDistance(dim=real.shape[1])
    for name in total._defaults:
        setattr(total, name, torch.stack([getattr(part, name) for part in parts]).sum(0))
    return float(total.compute())


@pytest.mark.filterwarnings("ignore:The ``compute`` method")  # the reduced metric never saw an update
@pytest.mark.parametrize(("n", "d"), [(280, 16), (28, 64)])
def test_is_the_same_from_1_2_or_7_shards(n, d):
    real, fake = rows(n, d, 0), rows(n, d, 1, 0.2)
    one = sharded(real, fake, 1)
    assert one == pytest.approx(frechet_from_features(fake.numpy(), real.numpy()), rel=1e-8)
    assert sharded(real, fake, 2) == pytest.approx(one, rel=1e-9)
    assert sharded(real, fake, 7) == pytest.approx(one, rel=1e-9)


def test_merges_with_torchmetrics_own_merge():
    real, fake = rows(20, 4, 2), rows(20, 4, 3)
    whole, part = FrechetVideoDistance(dim=4), FrechetVideoDistance(dim=4)
    for side, x in ((True, real), (False, fake)):
        whole.update(x[:9], real=side)
        part.update(x[9:], real=side)
    whole.merge_state(part)
    assert float(whole.compute()) == pytest.approx(frechet_from_features(fake.numpy(), real.numpy()), rel=1e-9)


@pytest.mark.parametrize("n", [6, 200])
def test_is_0_with_itself_and_blind_to_order(n):
    x = rows(n, 12, 4)
    metric = FrechetVideoDistance(dim=12)
    metric.update(x, real=True)
    metric.update(x[torch.randperm(n)], real=False)
    assert float(metric.compute()) == pytest.approx(0, abs=1e-6)


def test_half_precision_requests_do_not_touch_the_sums():
    metric = FrechetVideoDistance(dim=3).half().set_dtype(torch.float16)
    assert metric.real_outer.dtype == torch.float64


def test_feeds_clips_to_the_extractor(world, mean_features):
    frames = torch.from_numpy(world[0]).permute(0, 1, 4, 2, 3)
    metric = FrechetVideoDistance(mean_features)
    metric.update(frames[:6], real=True)
    metric.update(frames[6:], real=False)
    x = mean_features(frames).numpy()
    assert float(metric.compute()) == pytest.approx(frechet_from_features(x[6:], x[:6]), rel=1e-6)


def test_too_few_clips_are_named():
    metric = FrechetVideoDistance(dim=3)
    metric.update(torch.zeros(1, 3), real=True)
    metric.update(torch.zeros(4, 3), real=False)
    with pytest.raises(UserError, match="at least 2 real clips and got 1"):
        metric.compute()


@pytest.mark.parametrize("arguments", [{}, {"dim": 3, "ddof": 2}])
def test_bad_settings_are_refused(arguments):
    with pytest.raises(UserError):
        FrechetVideoDistance(**arguments)


def test_evaluator_rows_are_the_features_in_order(world, clip_set, mean_features):
    evaluator = FvdEvaluator(mean_features)
    rows_nd = evaluator.describe(clip_set(world[0]))
    expected = mean_features(torch.from_numpy(world[0]).permute(0, 1, 4, 2, 3)).numpy()
    np.testing.assert_allclose(rows_nd, expected, rtol=1e-6)
    assert evaluator.evaluate(rows_nd[:6], rows_nd[6:]) == pytest.approx(
        frechet_from_features(rows_nd[:6], rows_nd[6:])
    )


def test_evaluator_resamples_as_it_evaluates(mean_features):
    x, y = rows(40, 5, 5).numpy(), rows(30, 5, 6).numpy()
    evaluator = FvdEvaluator(mean_features, ddof=0)
    index = np.random.default_rng(0).integers(40, size=(4, 40))
    expected = [evaluator.evaluate(x[i], y) for i in index]
    np.testing.assert_allclose(evaluator.resample(x, y, index), expected, rtol=1e-6)


def test_evaluator_without_reference_says_so(mean_features):
    with pytest.raises(UserError, match="reference clips"):
        FvdEvaluator(mean_features).evaluate(np.zeros((4, 8)))


def test_clips_of_mixed_sizes_are_refused(world, clip_set, mean_features):
    frames = [world[0][0], world[0][1][:8]]
    clips = clip_set(world[0][:2])
    mixed = type(clips)(clips.requests, lambda i: type(clips[0][1])(frames[i]))
    with pytest.raises(UserError, match="differ in size"):
        FvdEvaluator(mean_features).describe(mixed)


def test_fvd_over_subsets_is_their_mean_and_blind_to_order(mean_features):
    x, y = rows(30, 4, 7).numpy(), rows(30, 4, 8).numpy()
    evaluator = FvdEvaluator(mean_features, subset=20, repeats=5)
    value = evaluator.evaluate(x, y)
    assert value == pytest.approx(evaluator.evaluate(x[::-1], y), rel=1e-9)
    # fewer clips, more bias
    assert value > FvdEvaluator(mean_features).evaluate(x, y)
    with pytest.raises(UserError, match="subsets of 40"):
        FvdEvaluator(mean_features, subset=40).evaluate(x, y)
