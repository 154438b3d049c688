"""Mask metrics: the area under the ROC by counting pairs, and masks that are perfect, blind and inverted."""

import numpy as np
import pytest

from artv.errors import UserError
from artv_eval.metrics.mask import MaskEvaluator, pool_region, roc_auc


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
