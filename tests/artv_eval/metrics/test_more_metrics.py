"""KVD, windows, Inception Score, frame metrics and warping error against oracles."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torchmetrics.image.kid import poly_mmd
from torchvision.models import alexnet
from torchvision.models.optical_flow import raft_small

from artv.errors import UserError
from artv_eval.corruptions import corrupt
from artv_eval.features.weights import WEIGHTS, Weight
from artv_eval.metrics import (
    Flicker,
    FrameSimilarity,
    InceptionScore,
    KernelVideoDistance,
    WarpingError,
    factories,
    kvd,
    window_factories,
)
from artv_eval.metrics.base import curve_of
from artv_eval.metrics.frames import (
    FlickerEvaluator,
    FrameFidEvaluator,
    FrameSimilarityEvaluator,
    Lpips,
    psnr,
    similarity,
    ssim,
)
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.inception import InceptionScoreEvaluator, inception_score
from artv_eval.metrics.kvd import KvdEvaluator, unbiased_mmd
from artv_eval.metrics.statistics import bootstrap_interval
from artv_eval.metrics.warping import Raft, WarpingErrorEvaluator, on_motion_boundary, visible, warp
from artv_eval.metrics.windows import (
    WindowFidEvaluator,
    WindowFvdEvaluator,
    WindowKvdEvaluator,
    window_starts,
)


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


def test_inception_score_between_its_bounds():
    sure = np.eye(5)
    assert inception_score(sure) == pytest.approx(5)
    assert inception_score(np.full((7, 5), 0.2)) == pytest.approx(1)
    assert inception_score(sure[[0, 0, 1, 1]]) == pytest.approx(2)


def test_inception_score_is_the_mean_over_ten_random_splits_and_lower_for_it(mean_features):
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(20, 0.05), size=400)
    rows = rows[np.argsort(rows.argmax(1))]  # by class, as a data set's list is

    def score(p):
        return np.exp((p * np.log(np.maximum(p, 1e-300) / p.mean(0))).sum(1).mean())

    found = InceptionScoreEvaluator(mean_features).evaluate(rows)
    others = [np.mean([score(part) for part in np.array_split(rng.permutation(rows), 10)]) for _ in range(30)]
    assert abs(found - np.mean(others)) < 4 * np.std(others) and found < score(rows)
    assert np.mean([score(part) for part in np.array_split(rows, 10)]) < 0.5 * found
    with pytest.raises(UserError, match="over 10 splits needs 20 clips and has 19"):
        InceptionScoreEvaluator(mean_features).evaluate(rows[:19])


def test_inception_score_of_shards_and_evaluator_agree(world, clip_set, mean_features):
    frames = torch.from_numpy(world[0]).permute(0, 1, 4, 2, 3)
    whole, part = InceptionScore(mean_features), InceptionScore(mean_features)
    whole.update(frames[:5])
    part.update(frames[5:])
    whole.merge_state(part)
    evaluator = InceptionScoreEvaluator(mean_features, splits=1)
    rows = evaluator.describe(clip_set(world[0]))
    np.testing.assert_allclose(rows.sum(1), 1)
    assert float(whole.compute()) == pytest.approx(evaluator.evaluate(rows), rel=1e-6)
    interval = bootstrap_interval(evaluator, rows, resamples=50)
    assert interval.low < interval.value < interval.high


def test_psnr_and_ssim_of_known_pictures():
    x = torch.full((2, 3, 32, 32), 100.0)
    y = x + torch.tensor([10.0, 0.0]).view(2, 1, 1, 1)
    torch.testing.assert_close(psnr(x, y), torch.tensor([20 * np.log10(25.5), 100.0], dtype=torch.float32))
    texture = torch.rand(1, 3, 32, 32) * 255
    assert ssim(texture, texture).item() == pytest.approx(1, abs=1e-5)
    assert ssim(texture, texture.flip(3)).item() < 0.3


def wangs_ssim(x, y):
    """Wang et al. 2004, eq. 13 with section III.C, a picture of one channel: only windows inside it."""
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my, xx, yy, xy = (convolve2d(z, window, mode="valid") for z in (x, y, x * x, y * y, x * y))
    vx, vy, cov = xx - mx * mx, yy - my * my, xy - mx * my
    return (((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()


@pytest.mark.parametrize(("height", "width"), [(11, 11), (16, 40), (33, 20)])
def test_ssim_is_wangs_over_windows_inside_the_picture(height, width):
    rng = np.random.default_rng(height)
    x = rng.integers(0, 256, (2, 3, height, width)).astype(float)
    y = (x + rng.normal(0, 25, x.shape)).clip(0, 255)
    expected = [
        np.mean([wangs_ssim(a, b) for a, b in zip(one, other, strict=True)]) for one, other in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(ssim(torch.from_numpy(x), torch.from_numpy(y)), expected, rtol=1e-9)
    with pytest.raises(UserError, match="window has 11 pixels"):
        ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))


def test_frame_similarity_leaves_the_given_frame_out(world, clip_set):
    frames = world[0][:3]
    fake = frames.copy()
    fake[:, 1:] = np.clip(fake[:, 1:].astype(int) + 10, 0, 255)
    evaluator = FrameSimilarityEvaluator("psnr")
    rows = evaluator.describe(clip_set(fake, real=frames))
    assert (rows[:, 0] == 100).all() and evaluator.evaluate(rows) == pytest.approx(28.2, abs=0.5)
    assert evaluator.curve(rows).shape == (16,)
    metric = FrameSimilarity("psnr")
    metric.update(*(torch.from_numpy(z).permute(0, 1, 4, 2, 3) for z in (fake, frames)))
    assert float(metric.compute()) == pytest.approx(evaluator.evaluate(rows), rel=1e-6)
    with pytest.raises(UserError, match="ground truth"):
        evaluator.describe(clip_set(fake))
    with pytest.raises(UserError, match="differ in size"):
        evaluator.describe(clip_set(fake[:, :8], real=frames))
    with pytest.raises(UserError, match="did you mean psnr"):
        similarity("psnrr")


def test_lpips_is_that_of_torchmetrics_on_the_given_weights(tmp_path, monkeypatch):
    from torchmetrics.functional.image import lpips as theirs

    torch.manual_seed(0)
    trunk = alexnet()
    file = tmp_path / "alex.pth"
    torch.save(trunk.state_dict(), file)
    monkeypatch.setitem(WEIGHTS, "lpips-alex", Weight(file="alex.pth", urls=(), what="AlexNet"))
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda net, pretrained=False: trunk.features)
    expected = theirs._NoTrainLpips(net="alex")
    monkeypatch.undo()
    monkeypatch.setitem(WEIGHTS, "lpips-alex", Weight(file="alex.pth", urls=(), what="AlexNet"))
    ours = Lpips(str(file))
    x, y = torch.randint(0, 256, (2, 3, 3, 64, 64)).float()
    with torch.no_grad():
        torch.testing.assert_close(ours(x, y), expected(x / 127.5 - 1, y / 127.5 - 1).flatten(), atol=1e-5, rtol=1e-4)
    assert ours(x, x).abs().max() < 1e-6


def test_absent_weights_make_no_metric(monkeypatch, tmp_path):
    monkeypatch.setenv("ARTV_EVAL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for factory in (factories.lpips, factories.warping_error, factories.inception_score):
        with pytest.raises(UserError, match="are absent"):
            factory()
    with pytest.raises(UserError, match="fetch i3d"):
        factories.fvd("i3d")


def test_flicker_is_the_change_of_the_still_part(clip_set):
    t = np.arange(6)
    frames = np.broadcast_to((100 + 5 * (t % 2))[None, :, None, None, None], (1, 6, 16, 16, 3)).astype(np.uint8).copy()
    for k in t:
        frames[0, k, 2 * k : 2 * k + 4, :8] = 255
    evaluator = FlickerEvaluator()
    assert evaluator.evaluate(evaluator.describe(clip_set(frames))) == 5
    metric = Flicker()
    metric.update(torch.from_numpy(frames).permute(0, 1, 4, 2, 3))
    assert float(metric.compute()) == 5


class MeanColour:
    """Pictures as mean and spread of their colours."""

    name, digest, dim = "colour", "0", 6

    def images(self, image_NCHW):
        x = image_NCHW.float() / 255
        return torch.cat([x.mean((2, 3)), x.std((2, 3))], 1)


def test_frame_fid_is_frechet_over_frames_and_resamples_clips(world, clip_set):
    frames = world[0]
    evaluator = FrameFidEvaluator(MeanColour())
    rows = evaluator.describe(clip_set(frames))
    flat = MeanColour().images(torch.from_numpy(frames).flatten(0, 1).permute(0, 3, 1, 2)).numpy()
    expected = frechet_from_features(flat[: 6 * 16], flat[6 * 16 :])
    assert evaluator.evaluate(rows[:6], rows[6:]) == pytest.approx(expected, rel=1e-5)
    index = np.array([[0, 0, 3, 5, 1, 1]])
    direct = evaluator.evaluate(rows[:6][index[0]], rows[6:])
    assert evaluator.resample(rows[:6], rows[6:], index)[0] == pytest.approx(direct, rel=1e-4)


def shifted(step, T=3, size=24):
    """A smooth picture moving right by ``step`` pixels a frame, (1, T, 3, H, W)."""
    x = torch.arange(size)[None, None, None, :].float()
    frames = [(127 + 100 * torch.sin((x - step * t) / 4)).expand(1, 3, size, size) for t in range(T)]
    return torch.stack(frames, 1).round().to(torch.uint8)


def constant_flow(step):
    """A flow of ``step`` pixels to the right; the second call of a pair is the way back."""
    calls = iter([step, -step] * 10)

    def flow(first, second):
        out = torch.zeros(len(first), 2, *first.shape[-2:])
        out[:, 0] = next(calls)
        return out

    return flow


def test_warping_error_is_0_along_the_true_flow_and_large_without():
    metric = WarpingError(constant_flow(2.0))
    metric.update(shifted(2))
    assert float(metric.compute()) < 1e-4
    still = WarpingError(constant_flow(0.0))
    still.update(shifted(2))
    assert float(still.compute()) > 1e-2


def test_warping_evaluator_gives_a_curve(clip_set):
    evaluator = WarpingErrorEvaluator(constant_flow(1.0))
    rows = evaluator.describe(clip_set(shifted(1, T=4).permute(0, 1, 3, 4, 2).numpy()))
    assert rows.shape == (1, 3) and evaluator.evaluate(rows) < 1e-4


def test_warp_looks_up_and_marks_what_left_the_picture():
    x = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 1, 5, 5)
    flow = torch.zeros(1, 2, 5, 5)
    flow[:, 0] = 1.5
    moved, inside = warp(x, flow)
    torch.testing.assert_close(moved[0, 0, 0], torch.tensor([1.5, 2.5, 3.5, 4.0, 4.0]))
    assert inside[0, 0].tolist() == [True, True, True, False, False]
    assert not visible(flow, flow).any()  # the way back must be the opposite


def ruders_masks(forward, backward):
    """Ruder et al. 2016, eq. 5 and 6, a pixel at a time; whole pixels of flow, so that nothing is interpolated."""
    _, H, W = forward.shape
    seen = np.zeros((H, W), bool)
    for y in range(H):
        for x in range(W):
            to_x, to_y = x + int(forward[0, y, x]), y + int(forward[1, y, x])
            if not (0 <= to_x < W and 0 <= to_y < H):
                continue
            ahead, back = forward[:, y, x], backward[:, to_y, to_x]
            hidden = ((ahead + back) ** 2).sum() >= 0.01 * ((ahead**2).sum() + (back**2).sum()) + 0.5
            right = forward[:, y, x + 1] - ahead if x + 1 < W else np.zeros(2)
            below = forward[:, y + 1, x] - ahead if y + 1 < H else np.zeros(2)
            edge = (right**2).sum() + (below**2).sum() > 0.01 * (ahead**2).sum() + 0.002
            seen[y, x] = not hidden and not edge
    return seen


def test_what_is_visible_is_what_ruder_says():
    rng = np.random.default_rng(0)
    forward = np.zeros((2, 20, 24))
    forward[:, 5:12, 6:16] = np.array([2, -1]).reshape(2, 1, 1)  # an object that moves, and its edges
    forward[:, 15:18, 2:9] = rng.integers(-3, 4, (2, 3, 7))
    backward = np.zeros_like(forward)
    backward[:, 4:11, 8:18] = np.array([-2, 1]).reshape(2, 1, 1)
    found = visible(*(torch.from_numpy(flow)[None] for flow in (forward, backward)))[0].numpy()
    np.testing.assert_array_equal(found, ruders_masks(forward, backward))
    assert found[8, 10] and not found[8, 15] and not found[8, 5] and found[0, 0]


def test_a_small_change_of_a_fast_flow_is_no_edge():
    """Relative to the flow: a step of 0.5 is an edge at 1 pixel a frame and none at 10."""
    for speed, edge in ((1.0, True), (10.0, False)):
        flow = torch.zeros(1, 2, 4, 6)
        flow[:, 0] = speed
        flow[:, 0, :, 3:] += 0.5
        assert on_motion_boundary(flow)[0, 0].tolist() == [False, False, edge, False, False, False]


def test_raft_loads_a_file_and_keeps_the_size(tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = raft_small()
    torch.save(network.state_dict(), tmp_path / "raft.pth")
    monkeypatch.setitem(WEIGHTS, "raft", Weight(file="raft.pth", urls=(), what="RAFT"))
    flow = Raft(str(tmp_path / "raft.pth"))(*torch.randint(0, 256, (2, 1, 3, 40, 64)).float())
    assert flow.shape == (1, 2, 40, 64) and flow.isfinite().all()
