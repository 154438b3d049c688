"""Metrics of frames: PSNR, Wang's SSIM, torchmetrics' LPIPS, flicker and FID of frames, against oracles."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torchvision.models import alexnet

from artv.errors import UserError
from artv_eval.features.weights import WEIGHTS, Weight
from artv_eval.metrics import Flicker, FrameSimilarity
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
