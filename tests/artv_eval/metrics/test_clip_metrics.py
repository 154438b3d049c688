"""CLIPSIM, drift, mask and caption metrics against hand-made clips with known answers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from artv.data.shapes import COLOURS, MOTIONS
from artv.errors import UserError
from artv_eval.corruptions import corrupt
from artv_eval.metrics import ClipSim
from artv_eval.metrics.caption import CaptionEvaluator
from artv_eval.metrics.clipsim import AnchorDrift, AnchorSimilarity, ClipSimDrift, ClipSimEvaluator
from artv_eval.metrics.drift import DriftEvaluator
from artv_eval.metrics.mask import MaskEvaluator, pool_region, roc_auc


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


def test_drift_is_grey_levels_a_frame_and_ignores_a_small_moving_object(clip_set):
    t = np.arange(6)
    clip = np.full((6, 20, 20, 3), 100) + 3 * t[:, None, None, None]
    for k in t:  # an object that covers a tenth of the picture and moves
        clip[k, 2 * k : 2 * k + 8, 5:10] = 250
    still = np.full((6, 20, 20, 3), 80)
    evaluator = DriftEvaluator()
    rows = evaluator.describe(clip_set(np.stack([clip, still]).astype(np.uint8)))
    np.testing.assert_allclose(evaluator.per_clip(rows), [3, 0])
    assert evaluator.evaluate(rows) == pytest.approx(1.5)
    np.testing.assert_allclose(evaluator.curve(rows), 1.5 * t)


def test_real_clips_do_not_drift_and_damaged_ones_do(world, clip_set):
    frames = world[0]
    damaged = corrupt(torch.from_numpy(frames).permute(0, 1, 4, 2, 3), "texture_drift", 0.8).permute(0, 1, 3, 4, 2)
    evaluator = DriftEvaluator()
    assert evaluator.evaluate(evaluator.describe(clip_set(frames))) == 0
    assert evaluator.evaluate(evaluator.describe(clip_set(damaged.numpy()))) > 0.5


@pytest.mark.parametrize(
    ("quantity", "change", "sign"),
    [
        ("sharpness", lambda x: (x + np.roll(x, 1, axis=2) + np.roll(x, 1, axis=1)) / 3, -1),
        ("contrast", lambda x: 128 + (x - 128.0) * 0.5, -1),
        ("saturation", lambda x: x * 0.5 + x.mean(-1, keepdims=True) * 0.5, -1),
        ("contrast", lambda x: x, 0),
    ],
)
def test_other_curves_see_their_flaw(world, quantity, change, sign, clip_set):
    first = world[0][:3, :1].astype(float)
    frames = np.concatenate([first, first, change(first), change(first)], 1).astype(np.uint8)
    evaluator = DriftEvaluator(quantity)
    slope = evaluator.evaluate(evaluator.describe(clip_set(frames)))
    assert np.sign(round(slope, 6)) == sign


def test_roc_area_counts_ordered_pairs():
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 6, 60) / 6, rng.random(60) < 0.3
    pairs = score[positive][:, None] - score[~positive]
    assert roc_auc(score, positive) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    assert np.isnan(roc_auc(score, np.ones(60)))


def test_a_cell_moves_when_any_of_its_pixels_does():
    motion = np.zeros((3, 8, 8), bool)
    motion[1, 0, 0] = motion[2, 7, 3] = True
    region = pool_region(motion, (2, 2))
    assert region.tolist() == [[[True, False], [False, False]], [[False, False], [True, False]]]


def test_mask_metrics_rank_a_perfect_a_blind_and_an_inverted_mask(world, labels, clip_set):
    frames, clips = world
    perfect = [1.0 - pool_region(clip.motion, (16, 16)) for clip in clips]
    blind, inverted = [np.full_like(m, 0.5) for m in perfect], [1 - m for m in perfect]
    area, contrast = MaskEvaluator("auc"), MaskEvaluator("contrast")
    for masks, a, c in ((perfect, 1, 1), (blind, 0.5, 0), (inverted, 0, -1)):
        rows = area.describe(clip_set(frames, masks=[m.astype(np.float32) for m in masks], labels=labels))
        assert area.evaluate(rows) == pytest.approx(a) and contrast.evaluate(rows) == pytest.approx(c)


def test_mask_metric_says_what_is_missing(world, labels, clip_set):
    with pytest.raises(UserError, match="predicted mask"):
        MaskEvaluator().describe(clip_set(world[0], labels=labels))
    with pytest.raises(UserError, match="true motion region"):
        MaskEvaluator().describe(clip_set(world[0], masks=np.zeros((12, 15, 4, 4), np.float32)))


def test_clips_without_motion_are_left_out():
    rows = np.array([[0.8, 0.1, 0.9], [np.nan] * 3])
    assert MaskEvaluator().evaluate(rows) == pytest.approx(0.8)
    with pytest.raises(UserError, match="undefined on all"):
        MaskEvaluator().evaluate(rows[1:])


class Oracle:
    """Knows the labels of the clips in the order they come; ``wrong`` of them are mistaken in colour."""

    name, digest = "oracle", "0"

    def __init__(self, labels, wrong=0):
        self.labels, self.wrong, self.seen = labels, wrong, 0

    def attributes(self, clip_BTCHW):
        B = len(clip_BTCHW)
        colour, pair = torch.zeros(B, len(COLOURS)), torch.zeros(B, len(COLOURS), len(MOTIONS))
        for row in range(B):
            for c, m in zip(self.labels[self.seen]["colour"], self.labels[self.seen]["motion_label"], strict=True):
                if c >= 0:
                    c = (c + 4) % 8 if self.seen < self.wrong else c
                    colour[row, c], pair[row, c, m] = 5, 5
            self.seen += 1
        return {"colour": colour, "pair": pair}


def test_caption_accuracy_is_the_share_of_named_things_recognised(world, labels, clip_set):
    for quantity, expected in (("caption", 1.0), ("colour", 1.0), ("motion", 1.0)):
        evaluator = CaptionEvaluator(Oracle(labels), quantity)
        assert evaluator.evaluate(evaluator.describe(clip_set(world[0], labels=labels))) == expected
    single = [label for label in labels if label["colour"][1] < 0]
    frames = world[0][: len(single)]
    evaluator = CaptionEvaluator(Oracle(single, wrong=2), "caption")
    rows = evaluator.describe(clip_set(frames, labels=single))
    assert evaluator.evaluate(rows) == pytest.approx(1 - 2 / len(single))
    assert CaptionEvaluator(Oracle(single), "motion").evaluate(rows) == 1  # the motion was right


def test_caption_metric_needs_labels(world, clip_set):
    with pytest.raises(UserError, match="colours and motions"):
        CaptionEvaluator(Oracle([])).describe(clip_set(world[0]))


def test_anchor_drift_is_the_slope_of_the_similarity():
    rows = 1 - np.array([[0.01], [0.03]]) * np.arange(6)
    evaluator = AnchorDrift(ColourClip())
    assert evaluator.evaluate(rows) == pytest.approx(-0.02) and evaluator.name == "anchor_drift"
    np.testing.assert_allclose(evaluator.curve(rows), 1 - 0.02 * np.arange(6))
