"""Metrics of windows against the metric of each window, written out."""

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval.corruptions import corrupt
from artv_eval.metrics import kvd, window_factories
from artv_eval.metrics.base import curve_of
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.kvd import unbiased_mmd
from artv_eval.metrics.windows import WindowFidEvaluator, WindowFvdEvaluator, WindowKvdEvaluator, window_starts


def test_windows_cover_the_clip():
    assert window_starts(16, 8, 4) == [0, 4, 8] and window_starts(8, 8, 4) == [0]
    with pytest.raises(UserError, match="clips have 6 frames"):
        window_starts(6, 8, 4)


def test_window_fvd_is_the_fvd_of_each_window(world, clip_set, mean_features):
    frames = world[0]
    evaluator = WindowFvdEvaluator(mean_features, length=6, stride=5)
    rows = evaluator.describe(clip_set(frames))
    x = torch.from_numpy(frames).permute(0, 1, 4, 2, 3)
    expected = [mean_features(x[:, s : s + 6]).numpy() for s in (0, 5, 10)]
    values = [frechet_from_features(w[:6], w[6:]) for w in expected]
    np.testing.assert_allclose(evaluator.curve_against(rows[:6], rows[6:]), values, rtol=1e-4, atol=1e-7)
    assert evaluator.evaluate(rows[:6], rows[6:]) == pytest.approx(np.mean(values), rel=1e-4)
    index = np.random.default_rng(0).integers(6, size=(2, 6))
    direct = [evaluator.evaluate(rows[:6][i], rows[6:]) for i in index]
    np.testing.assert_allclose(evaluator.resample(rows[:6], rows[6:], index), direct, rtol=1e-3, atol=1e-6)


def test_windows_against_real_ones_anywhere(mean_features):
    rng, d = np.random.default_rng(3), mean_features.dim
    rows, reference = rng.normal(size=(30, 3 * d)), rng.normal(size=(25, 3 * d))
    evaluator = WindowFvdEvaluator(mean_features, place="anywhere")
    everywhere = np.concatenate(np.split(reference, 3, axis=1))
    expected = [frechet_from_features(rows[:, k * d : (k + 1) * d], everywhere) for k in range(3)]
    np.testing.assert_allclose(evaluator.curve_against(rows, reference), expected, rtol=1e-9)
    assert evaluator.evaluate(rows, reference[:, : 2 * d]) > 0  # real clips may be shorter
    with pytest.raises(UserError, match="place is 'there'"):
        window_factories.window_fvd(feature=mean_features, place="there")


def test_window_fvd_drift_is_the_growth_of_the_distance_a_frame(mean_features):
    """Windows whose means move apart by √k in 8 dimensions have the distance 8 k (their covariances are equal)."""
    real = np.random.default_rng(0).normal(size=(40, 8))
    rows = np.concatenate([real + np.sqrt(k) for k in range(4)], 1)
    evaluator = WindowFvdEvaluator(mean_features, stride=4, drift=True, name="window_fvd_drift")
    reference = np.tile(real, 4)
    np.testing.assert_allclose(evaluator.curve_against(rows, reference), 8 * np.arange(4), atol=1e-6)
    assert evaluator.evaluate(rows, reference) == pytest.approx(8 / 4)
    index = np.random.default_rng(1).integers(40, size=(3, 40))
    expected = [evaluator.evaluate(rows[i], reference) for i in index]
    np.testing.assert_allclose(evaluator.resample(rows, reference, index), expected, rtol=1e-6)
    assert curve_of(evaluator, rows, reference) == pytest.approx((0, 8, 16, 24), abs=1e-6)


def test_window_kvd_is_the_kvd_of_each_window(mean_features):
    rng, d = np.random.default_rng(5), mean_features.dim
    rows, reference = rng.normal(size=(9, 3 * d)), rng.normal(size=(7, 3 * d))
    evaluator = WindowKvdEvaluator(mean_features)
    expected = [unbiased_mmd(rows[:, k * d :][:, :d], reference[:, k * d :][:, :d]) for k in range(3)]
    np.testing.assert_allclose(evaluator.curve_against(rows, reference), expected, rtol=1e-9)
    assert evaluator.evaluate(rows, reference) == pytest.approx(np.mean(expected))
    growth = WindowKvdEvaluator(mean_features, stride=2, drift=True)
    assert growth.evaluate(rows, reference) == pytest.approx((expected[2] - expected[0]) / 2 / 2)


def test_window_kvd_anywhere_pairs_real_windows_of_different_clips(mean_features, monkeypatch):
    """Against the sums written out, pair by pair."""
    monkeypatch.setattr(kvd, "ROWS", 4)
    rng, d, m, K = np.random.default_rng(6), mean_features.dim, 5, 3
    rows, reference = rng.normal(size=(6, K * d)), rng.normal(size=(m, K * d))
    real = [(clip, reference[clip, k * d :][:d]) for clip in range(m) for k in range(K)]
    kernel = lambda a, b: (a @ b / d + 1) ** 3  # noqa: E731
    apart = np.mean([kernel(a, b) for i, a in real for j, b in real if i != j])
    expected = []
    for k in range(K):
        ours = rows[:, k * d :][:, :d]
        within = np.mean([kernel(ours[i], ours[j]) for i in range(6) for j in range(6) if i != j])
        expected.append(within + apart - 2 * np.mean([kernel(a, b) for a in ours for _, b in real]))
    evaluator = WindowKvdEvaluator(mean_features, place="anywhere")
    np.testing.assert_allclose(evaluator.curve_against(rows, reference), expected, rtol=1e-9)
    index = rng.integers(6, size=(3, 6))
    direct = [evaluator.evaluate(rows[i], reference) for i in index]
    np.testing.assert_allclose(evaluator.resample(rows, reference, index), direct, rtol=1e-9)


@pytest.mark.parametrize("place", ["same", "anywhere"])
def test_window_fid_is_the_fid_of_the_windows_frames(place):
    class Encoder:
        name, digest, dim = "mean", "1", 3

        def images(self, frames):
            return frames.float().mean((2, 3))

    rng = np.random.default_rng(7)
    rows, reference = rng.normal(size=(5, 10 * 3)), rng.normal(size=(6, 10 * 3))
    evaluator = WindowFidEvaluator(Encoder(), length=4, stride=3, place=place)
    frames, real = rows.reshape(5, 10, 3), reference.reshape(6, 10, 3)
    expected = [
        frechet_from_features(
            frames[:, s : s + 4].reshape(-1, 3), (real[:, s : s + 4] if place == "same" else real).reshape(-1, 3)
        )
        for s in (0, 3, 6)
    ]
    np.testing.assert_allclose(evaluator.curve_against(rows, reference), expected, rtol=1e-9)
    index = rng.integers(5, size=(3, 5))
    direct = [evaluator.evaluate(rows[i], reference) for i in index]
    np.testing.assert_allclose(evaluator.resample(rows, reference, index), direct, rtol=1e-6)
    assert evaluator.covariance_samples(rows) == (20, "frames", 3)


def test_names_of_window_metrics_say_what_they_are(mean_features):
    made = window_factories.window_kvd_anywhere_drift(feature=mean_features, length=3)
    assert (made.name, made.place, made.drift, made.length) == ("window_kvd_anywhere_drift", "anywhere", True, 3)
    with pytest.raises(TypeError, match="place"):
        window_factories.window_kvd(feature=mean_features, place="anywhere")


def test_window_fvd_sees_late_damage_late(world, clip_set, mean_features):
    frames = torch.from_numpy(world[0]).permute(0, 1, 4, 2, 3)
    damaged = corrupt(frames, "texture_drift", 1.0).permute(0, 1, 3, 4, 2).numpy()
    evaluator = WindowFvdEvaluator(mean_features, length=4, stride=4)
    curve = evaluator.curve_against(evaluator.describe(clip_set(damaged)), evaluator.describe(clip_set(world[0])))
    assert curve[0] < curve[1] < curve[3]
