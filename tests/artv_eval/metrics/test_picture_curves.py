"""Quantities of every frame on clips whose numbers are known, whole and a few frames at a time."""

import dataclasses
import hashlib
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.features import weights
from artv_eval.metrics import views
from artv_eval.metrics.clipsim import AnchorSimilarity, ClipSimEvaluator
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.curves import CurveEvaluator, curve_of_clip
from artv_eval.metrics.drift import DriftEvaluator
from artv_eval.metrics.frames import FlickerEvaluator, FrameFidEvaluator, FrameSimilarityEvaluator
from artv_eval.metrics.picture_curves import QUANTITIES, consistency, flow, thumbnails
from artv_eval.metrics.summaries import SUMMARIES
from artv_eval.metrics.warping import WarpingErrorEvaluator

T = 150  # more than twice 64


def request(frames=T):
    return ClipRequest(index=0, prompt="", seed=0, num_frames=frames, height=16, width=16, fps=8.0)


def measured(name, clip):
    return curve_of_clip(QUANTITIES[name], request(len(clip)), GeneratedClip(clip))


@pytest.fixture(scope="module")
def texture():
    return np.random.default_rng(0).integers(60, 120, (16, 16, 3))


@pytest.fixture(scope="module")
def brighter(texture):
    """Every frame one grey level above the one before it."""
    return (texture + np.arange(T)[:, None, None, None] // 2).astype(np.uint8)


def test_light_that_rises(brighter):
    level = np.arange(T) // 2
    for name in ("change", "change_mean"):
        np.testing.assert_allclose(measured(name, brighter), level, atol=1e-4)
    np.testing.assert_allclose(measured("exposure", brighter) - measured("exposure", brighter)[0], level, atol=1e-6)
    np.testing.assert_allclose(measured("colour", brighter), level * np.sqrt(3), atol=1e-6)
    np.testing.assert_allclose(measured("sharpness", brighter), 1, atol=1e-4)
    np.testing.assert_allclose(measured("motion", brighter)[1:], np.diff(level), atol=1e-6)


def test_frozen_frames(brighter):
    frozen = measured("frozen", brighter)
    assert np.isnan(frozen[0]) and frozen[1:].tolist() == (np.diff(np.arange(T) // 2) == 0).astype(float).tolist()
    assert measured("frozen", np.repeat(brighter[:1], 9, 0))[1:].tolist() == [1.0] * 8


def test_a_clip_that_repeats_itself_loops(texture):
    rng = np.random.default_rng(1)
    once = rng.integers(0, 255, (30, 16, 16, 3)).astype(np.uint8)
    loops = measured("loops", np.concatenate([once, once]))
    assert not loops[:30].any() and loops[30:].all()
    assert not measured("loops", np.repeat(once[:1], 60, 0)).any()  # a still shows nothing else in between


@pytest.mark.parametrize("size", [(48, 80), (37, 53), (9, 7)])
def test_thumbnails_are_torchs_adaptive_means(size):
    frames = np.random.default_rng(5).integers(0, 256, (3, *size, 3)).astype(np.uint8)
    ours = thumbnails(frames).reshape(3, 16, 16, 3).transpose(0, 3, 2, 1)
    x = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    np.testing.assert_allclose(ours, torch.nn.functional.adaptive_avg_pool2d(x, 16), rtol=1e-5)


class MeanColour:
    name, digest, dim = "mean-colour", "1", 3

    def images(self, frames):
        return frames.float().mean((2, 3))


def test_consistency_with_the_first_frame_and_over_a_distance(brighter):
    clip = np.random.default_rng(2).integers(0, 255, (T, 4, 4, 3)).astype(np.uint8)
    mean = clip.mean((1, 2))
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    one = ClipSet([request()], lambda i: GeneratedClip(clip))
    (first,) = CurveEvaluator(consistency(MeanColour())).describe(one)
    np.testing.assert_allclose(first, mean @ mean[0], atol=1e-5)
    (apart,) = CurveEvaluator(consistency(MeanColour(), 5)).describe(one)
    assert np.isnan(apart[:5]).all()
    np.testing.assert_allclose(apart[5:], (mean[5:] * mean[:-5]).sum(1), atol=1e-5)


@pytest.mark.parametrize("name", sorted(QUANTITIES))
def test_how_many_frames_at_a_time_makes_no_difference(name, monkeypatch):
    clip = np.random.default_rng(3).integers(0, 255, (40, 16, 16, 3)).astype(np.uint8)
    clip[20:] = clip[:20]
    whole = measured(name, clip)
    monkeypatch.setattr(views, "AT_ONCE", 7)
    np.testing.assert_allclose(measured(name, clip), whole, rtol=1e-5)


class Sentences(MeanColour):
    def texts(self, texts):
        return torch.tensor([[len(text), 2.0, 3.0] for text in texts])


def shift(first, second):
    """A flow that depends on both frames."""
    level = (second - first).mean((1, 2, 3))
    return (level[:, None, None, None] / 100).expand(-1, 2, *first.shape[-2:])


EVALUATORS = {
    **{name: partial(DriftEvaluator, name) for name in ("change", "sharpness", "contrast", "saturation")},
    **{name: partial(FrameSimilarityEvaluator, name) for name in ("psnr", "ssim")},
    "flicker": FlickerEvaluator,
    "frame_fid": lambda: FrameFidEvaluator(MeanColour()),
    "clipsim": lambda: ClipSimEvaluator(Sentences()),
    "anchor": lambda: AnchorSimilarity(MeanColour()),
    "warping": lambda: WarpingErrorEvaluator(shift),
}


@pytest.mark.parametrize("name", sorted(EVALUATORS))
@pytest.mark.parametrize("size", [1, 7])
def test_rows_of_long_clips_are_those_of_clips_in_memory(name, size, monkeypatch):
    rng = np.random.default_rng(4)
    made, real = (rng.integers(0, 255, (3, 20, 16, 16, 3)).astype(np.uint8) for _ in range(2))
    wanted = [replace(request(20), real=clip, prompt="a" * i) for i, clip in enumerate(real)]
    evaluator = EVALUATORS[name]()
    assert evaluator.in_parts
    whole = evaluator.describe(ClipSet(wanted, lambda i: GeneratedClip(made[i])))
    monkeypatch.setattr(views, "AT_ONCE", size)
    rows = evaluator.describe(ClipSet(wanted, lambda i: GeneratedClip(made[i])))
    assert rows.shape == whole.shape and rows.dtype == whole.dtype
    np.testing.assert_allclose(rows, whole, rtol=1e-5, atol=1e-6)


def test_flow_is_the_mean_length_of_the_motion(monkeypatch):
    """By a flow that knows the truth: frames move by (3, 4) pixels, from frame 12 on not at all."""
    monkeypatch.setattr(views, "AT_ONCE", 5)

    def true(before, after):
        moved = (after != before).flatten(1).any(1).float()
        return torch.tensor([3.0, 4.0])[None, :, None, None] * moved[:, None, None, None].expand(-1, 2, 16, 16)

    texture = np.random.default_rng(8).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    clip = np.stack([np.roll(texture, (4 * min(t, 11), 3 * min(t, 11)), (0, 1)) for t in range(24)])
    found = curve_of_clip(flow(true), request(24), GeneratedClip(clip))
    assert np.isnan(found[0]) and found[1:12].tolist() == [5.0] * 11 and found[12:].tolist() == [0.0] * 12
    halted = SUMMARIES["below_half"](np.nan_to_num(found)[None])
    assert halted[0] == pytest.approx(12 / 23)


def test_flow_by_raft_is_its_networks(tmp_path):
    """With random weights in torchvision's file: the same as the network's own output, averaged."""
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    network = raft_small().eval()
    torch.save(network.state_dict(), tmp_path / "raft.pth")
    digest = hashlib.sha256((tmp_path / "raft.pth").read_bytes()).hexdigest()
    with pytest.MonkeyPatch.context() as patch:
        known = dataclasses.replace(weights.WEIGHTS["raft"], prefix=digest[:8], file="raft.pth")
        patch.setitem(weights.WEIGHTS, "raft", known)
        patch.setenv("ARTV_EVAL_WEIGHTS", str(tmp_path))
        metric = curve("flow")
    clip = np.random.default_rng(9).integers(0, 255, (3, 128, 128, 3)).astype(np.uint8)
    sized = replace(request(3), height=128, width=128)
    (found,) = metric.describe(ClipSet([sized], lambda i: GeneratedClip(clip)))
    x = torch.from_numpy(clip).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = network(x[:-1], x[1:])[-1].norm(dim=1).mean((1, 2))
    np.testing.assert_allclose(found[1:], expected.numpy(), rtol=1e-4)


def test_flow_without_weights_says_what_to_fetch(monkeypatch, tmp_path):
    monkeypatch.setenv("ARTV_EVAL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"weights 'raft'.*fetch raft"):
        curve("flow/below_half")


def test_large_pictures_are_read_a_few_at_a_time():
    class Watched:
        shape, most = (30, 480, 832, 3), 0

        def __len__(self):
            return self.shape[0]

        def __getitem__(self, at):
            if isinstance(at, slice):
                count = len(range(*at.indices(30)))
                Watched.most = max(Watched.most, count)
                return np.zeros((count, *self.shape[1:]), np.uint8)
            return np.zeros(self.shape[1:], np.uint8)

    assert len(curve_of_clip(QUANTITIES["change_mean"], request(30), GeneratedClip(Watched()))) == 30
    assert Watched.most * 480 * 832 * 3 <= views.VALUES


def test_clips_of_different_lengths_are_refused(brighter):
    clips = ClipSet([request(), request()], lambda i: GeneratedClip(brighter[: 20 + i]))
    with pytest.raises(UserError, match="20 to 21 frames"):
        CurveEvaluator(QUANTITIES["change"]).describe(clips)


def test_names_of_metrics_and_mistakes():
    assert curve("sharpness/vde").name == "sharpness/vde" and curve("motion").name == "motion/level"
    assert curve("background_psnr/slope").higher_is_better is True
    assert curve("background_psnr/delta_abs").higher_is_better is False
    for what, reason in (("sharpnes", "did you mean sharpness"), ("motion/lvel", "level")):
        with pytest.raises(UserError, match=reason):
            curve(what)
