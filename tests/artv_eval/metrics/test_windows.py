"""Metrics of windows against the metric of each window, written out."""

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval.api import ClipSet, GeneratedClip
from artv_eval.corruptions import corrupt
from artv_eval.features.preprocess import Transform
from artv_eval.metrics import kvd, window_factories
from artv_eval.metrics.base import curve_of
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.kvd import unbiased_mmd
from artv_eval.metrics.statistics import bootstrap_interval
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
    alone, whole = (kind(mean_features) for kind in (WindowKvdEvaluator, kvd.KvdEvaluator))
    intervals = [bootstrap_interval(metric, rows[:, :d], reference[:, :d], resamples=40) for metric in (alone, whole)]
    assert intervals[0] == intervals[1]  # of one window
    growth = WindowKvdEvaluator(mean_features, stride=2, drift=True)
    assert growth.evaluate(rows, reference) == pytest.approx((expected[2] - expected[0]) / 2 / 2)


def test_copies_of_a_prompt_are_no_pairs_in_any_window(mean_features):
    rng, d, groups = np.random.default_rng(8), mean_features.dim, np.array([0, 0, 1, 2, 2, 2])
    rows, reference = rng.normal(size=(6, 2 * d)), rng.normal(size=(7, 2 * d))
    index = np.array([[0, 1, 0, 1, 2], [3, 4, 5, 0, 1]])[:, :5]
    evaluator, whole = WindowKvdEvaluator(mean_features), kvd.KvdEvaluator(mean_features)
    parts = [(rows[:, k : k + d], reference[:, k : k + d]) for k in (0, d)]
    expected = np.mean([whole.resample_prompts(*part, index, groups) for part in parts], axis=0)
    np.testing.assert_allclose(evaluator.resample_prompts(rows, reference, index, groups), expected, rtol=1e-9)
    apart = evaluator.resample(rows, reference, index)
    assert abs(apart[0] - expected[0]) > 1e-3 and apart[1] == pytest.approx(expected[1])  # prompt 0 is there twice
    fvd = WindowFvdEvaluator(mean_features)
    np.testing.assert_array_equal(
        fvd.resample_prompts(rows, reference, index, groups), fvd.resample(rows, reference, index)
    )


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
    index = np.array([rng.permutation(6)[:4] for _ in range(3)])
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


def test_window_fvd_sees_late_damage_late(world, clip_set, mean_features):
    frames = torch.from_numpy(world[0]).permute(0, 1, 4, 2, 3)
    damaged = corrupt(frames, "texture_drift", 1.0).permute(0, 1, 3, 4, 2).numpy()
    evaluator = WindowFvdEvaluator(mean_features, length=4, stride=4)
    curve = evaluator.curve_against(evaluator.describe(clip_set(damaged)), evaluator.describe(clip_set(world[0])))
    assert curve[0] < curve[1] < curve[3]


@pytest.mark.parametrize(
    ("frames", "length", "stride", "starts"),
    [(9, 9, 1, [0]), (9, 3, 3, [0, 3, 6]), (9, 4, 5, [0, 5]), (9, 1, 8, [0, 8]), (10, 3, 3, [0, 3, 6])],
)
def test_windows_are_those_that_fit(frames, length, stride, starts):
    """By hand: the last window ends with the last frame or before it."""
    assert window_starts(frames, length, stride) == starts
    assert starts[-1] + length <= frames < starts[-1] + stride + length


@pytest.mark.parametrize(("length", "stride"), [(0, 1), (3, 0), (-1, 2), (2, -1), (10, 1)])
def test_windows_that_there_are_not(length, stride):
    with pytest.raises(UserError, match=rf"windows of {length} frames, one every {stride}: clips have 9 frames; take"):
        window_starts(9, length, stride)


def brightness(levels):
    """Clips (n, T, 6, 6, 3) whose frames are of one level each."""
    return np.broadcast_to(np.asarray(levels, np.uint8)[..., None, None, None], (*np.shape(levels), 6, 6, 3))


def test_a_window_is_described_by_its_own_frames_alone(clip_set, mean_features):
    """The mean colour of window k of a clip that brightens by 10 a frame, scaled to 0 … 1: (10 (3 k + 1)) / 255."""
    frames = brightness([10 * np.arange(12), 10 * np.arange(12) + 100])
    rows = WindowFvdEvaluator(mean_features, length=3, stride=3).describe(clip_set(frames))
    red = rows.reshape(2, 4, 8)[:, :, 0]
    centre = 10 * (3 * np.arange(4) + 1)
    np.testing.assert_allclose(red, np.stack([centre, centre + 100]) / 255, rtol=1e-6)


def test_a_transform_goes_before_the_features(clip_set, mean_features):
    """The crop sees the middle of pictures whose rim is white."""
    frames = np.full((2, 6, 10, 14, 3), 255, np.uint8)
    frames[:, :, 3:7, 5:9] = 51
    cropped = WindowFvdEvaluator(mean_features, length=3, stride=3, transform=Transform(crop=4))
    plain = WindowFvdEvaluator(mean_features, length=3, stride=3)
    np.testing.assert_allclose(cropped.describe(clip_set(frames)).reshape(2, 2, 8)[..., :3], 0.2, rtol=1e-6)
    assert (plain.describe(clip_set(frames)).reshape(2, 2, 8)[..., :3] > 0.5).all()
    assert cropped.digest != plain.digest


def test_rows_are_kept_apart_by_what_windows_there_are(mean_features):
    made = [
        WindowFvdEvaluator(mean_features, length=length, stride=stride) for length, stride in ((8, 4), (8, 2), (4, 4))
    ]
    made += [WindowKvdEvaluator(mean_features), WindowFvdEvaluator(mean_features, drift=True, place="anywhere")]
    digests = [evaluator.digest for evaluator in made]
    assert len(set(digests[:3])) == 3 and digests[3] == digests[4] == digests[0]


def test_sets_of_other_lengths_are_one_line(mean_features):
    rows = np.random.default_rng(0).normal(size=(6, 24))
    with pytest.raises(UserError, match="clips give 3 windows and reference clips 2: they differ in length"):
        WindowFvdEvaluator(mean_features).evaluate(rows, rows[:, :16])
    with pytest.raises(UserError, match="rows of 23 numbers are not windows of 8 features"):
        WindowFvdEvaluator(mean_features).evaluate(rows[:, :23], rows)
    with pytest.raises(UserError, match="'window_kvd' compares with reference clips and got none"):
        WindowKvdEvaluator(mean_features).evaluate(rows)
    frames = [np.zeros((length, 6, 6, 3), np.uint8) for length in (12, 9)]
    clips = ClipSet([None, None], lambda i: GeneratedClip(frames[i]))
    with pytest.raises(UserError, match="clips of one set have 9 to 12 frames; give clips of one length"):
        WindowFvdEvaluator(mean_features).describe(clips)


@pytest.mark.parametrize("place", ["same", "anywhere"])
@pytest.mark.parametrize("kind", [WindowFvdEvaluator, WindowKvdEvaluator])
def test_a_set_against_itself(kind, place, mean_features):
    """FVD of a window with itself is 0; the unbiased KVD is below. Anywhere, both see that windows differ."""
    rng = np.random.default_rng(1)
    rows = np.concatenate([rng.normal(size=(30, 8)) + 3 * k for k in range(3)], 1)
    curve = kind(mean_features, place=place).curve_against(rows, rows)
    if place == "same":
        assert np.abs(curve).max() < 1e-6 if kind is WindowFvdEvaluator else (curve < 0).all()
    else:
        assert curve[0] > curve[1] < curve[2] and curve.min() > 0


def test_drift_is_per_frame_whatever_the_stride(mean_features):
    """The same distances four frames apart grow four times as slowly as one frame apart."""
    rng = np.random.default_rng(2)
    rows, reference = rng.normal(size=(9, 24)), rng.normal(size=(9, 24))
    slow, fast = (WindowFvdEvaluator(mean_features, stride=stride, drift=True) for stride in (4, 1))
    assert slow.evaluate(rows, reference) * 4 == pytest.approx(fast.evaluate(rows, reference), rel=1e-12)
    curve = fast.curve_against(rows, reference)
    assert fast.evaluate(rows, reference) == pytest.approx(np.polyfit(np.arange(3), curve, 1)[0], rel=1e-9)
    only = WindowFvdEvaluator(mean_features, drift=True)
    with pytest.raises(UserError, match="a slope over frames needs clips of at least 2 frames"):
        only.evaluate(rows[:, :8], reference[:, :8])


def test_frames_of_windows_overlap_and_are_described_once(clip_set):
    """FID's rows are of frames, so windows of any length and stride share them."""

    class Encoder:
        name, digest, dim, seen = "mean", "1", 3, 0

        def images(self, frames):
            Encoder.seen += len(frames)
            return frames.float().mean((2, 3))

    frames = brightness([10 * np.arange(12), 10 * np.arange(12) + 100])
    short, long = (WindowFidEvaluator(Encoder(), length=length, stride=2) for length in (4, 8))
    rows = short.describe(clip_set(frames))
    assert Encoder.seen == 24 and rows.shape == (2, 36) and short.digest == long.digest
    assert [len(window) for window in short._windows(rows)] == [8] * 5 and len(long._windows(rows)) == 3
    assert short._windows(rows)[1][:4, 0].tolist() == [20, 30, 40, 50]
    assert long.covariance_samples(rows) == (16, "frames", 3)
