"""Drift of what a clip looks like: in grey levels a frame, of clips damaged on purpose, of none."""

import numpy as np
import pytest
import torch

from artv_eval.corruptions import corrupt
from artv_eval.metrics.drift import DriftEvaluator, median_difference


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


@pytest.mark.parametrize("size", [(6, 7), (5, 5), (1, 2)])
@pytest.mark.parametrize("as_type", [torch.uint8, torch.float32])
def test_the_median_is_numpys_of_bytes_and_of_floats(size, as_type):
    x, y = (torch.randint(0, 256, (2, 3, 3, *size), generator=torch.Generator().manual_seed(k)) for k in range(2))
    found = median_difference(x.to(as_type), y[:, :1].to(as_type))
    expected = np.median(np.abs(x.numpy() - y[:, :1].numpy()).mean(2).reshape(2, 3, -1), axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


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
