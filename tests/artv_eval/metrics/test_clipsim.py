"""CLIPSIM, its drift and likeness to the anchor, in a space of colours where the answer is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from artv.errors import UserError
from artv_eval.metrics import ClipSim
from artv_eval.metrics.clipsim import AnchorDrift, AnchorSimilarity, ClipSimDrift, ClipSimEvaluator


class ColourClip:
    """A CLIP whose space is colour: the mean colour of a picture, and the colour words of a text."""

    name, digest, dim = "colour", "0", 3
    words = {"red": (1.0, 0, 0), "green": (0, 1.0, 0), "blue": (0, 0, 1.0)}

    def images(self, image_NCHW):
        return F.normalize(image_NCHW.float().mean((2, 3)), dim=1)

    def texts(self, texts):
        return torch.tensor([next(v for k, v in self.words.items() if k in text) for text in texts])


def plain(*colours, T=4):
    """Clips (n, T, 8, 8, 3) whose frame t has the colour given by the t-th entry (or the only one)."""
    table = {"r": (200, 0, 0), "g": (0, 200, 0), "b": (0, 0, 200)}
    clips = [[table[c[t % len(c)]] for t in range(T)] for c in colours]
    return np.broadcast_to(np.array(clips, np.uint8)[:, :, None, None], (len(colours), T, 8, 8, 3)).copy()


def test_clipsim_is_the_mean_over_frames_then_videos(clip_set):
    frames, captions = plain("r", "rrgg", "g"), ["red", "red", "blue"]
    metric = ClipSim(ColourClip())
    clips = torch.from_numpy(frames).permute(0, 1, 4, 2, 3)
    metric.update(clips[:1], captions[:1])
    metric.update(clips[1:], captions[1:])
    torch.testing.assert_close(metric.per_prompt(), torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64))
    assert float(metric.compute()) == pytest.approx(0.5)
    evaluator = ClipSimEvaluator(ColourClip())
    rows = evaluator.describe(clip_set(frames, captions))
    assert evaluator.evaluate(rows) == pytest.approx(0.5)
    np.testing.assert_allclose(evaluator.per_clip(rows), [1, 0.5, 0])
    np.testing.assert_allclose(evaluator.curve(rows), [2 / 3, 2 / 3, 1 / 3, 1 / 3], rtol=1e-6)


def test_clipsim_shards_add_up():
    frames = torch.from_numpy(plain("r", "rg", "g", "b")).permute(0, 1, 4, 2, 3)
    whole, part = ClipSim(ColourClip()), ClipSim(ColourClip())
    whole.update(frames[:1], ["red"])
    part.update(frames[1:], ["red"] * 3)
    whole.merge_state(part)
    assert float(whole.compute()) == pytest.approx(1.5 / 4)


def test_clipsim_wants_one_caption_a_clip():
    with pytest.raises(UserError, match="one caption a clip"):
        ClipSim(ColourClip()).update(torch.zeros(2, 1, 3, 8, 8, dtype=torch.uint8), ["red"])


def test_clipsim_drift_is_the_slope():
    evaluator = ClipSimDrift(ColourClip())
    rows = np.array([[1.0, 0.9, 0.8], [0.5, 0.5, 0.5]])
    np.testing.assert_allclose(evaluator.per_clip(rows), [-0.1, 0], atol=1e-12)


def test_anchor_similarity_compares_with_the_first_frame(clip_set):
    evaluator = AnchorSimilarity(ColourClip())
    rows = evaluator.describe(clip_set(plain("r", "rggg")))
    np.testing.assert_allclose(evaluator.per_clip(rows), [1, 0], atol=1e-6)


def test_anchor_drift_is_the_slope_of_the_similarity():
    rows = 1 - np.array([[0.01], [0.03]]) * np.arange(6)
    evaluator = AnchorDrift(ColourClip())
    assert evaluator.evaluate(rows) == pytest.approx(-0.02) and evaluator.name == "anchor_drift"
    np.testing.assert_allclose(evaluator.curve(rows), 1 - 0.02 * np.arange(6))
