"""Metrics as torchmetrics modules: their values by hand, shards that add up, and errors that say what is wrong."""

import numpy as np
import pytest
import torch
from scipy import stats

from artv.errors import UserError
from artv_eval.metrics.clip_modules import (
    CaptionAccuracy,
    Drift,
    Flicker,
    FrameSimilarity,
    MaskAuc,
    PerClipMetric,
    WarpingError,
)


class Given(PerClipMetric):
    """The values themselves."""

    def values(self, values_B):
        return torch.as_tensor(values_B)


def clips(B=3, T=6, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (B, T, 3, 12, 12), np.uint8))


@pytest.mark.parametrize("cuts", [[4], [1, 3], [2, 2], [1, 1, 1, 1]])
def test_the_mean_is_over_defined_clips_however_they_come(cuts):
    values = torch.tensor([1.0, float("nan"), 2.0, 6.0])
    metric = Given()
    for part in values.split(cuts):
        metric.update(part)
    assert metric.compute() == 3.0 and metric.compute().dtype == torch.float64
    assert torch.equal(metric.per_clip().nan_to_num(-1), torch.tensor([1.0, -1, 2, 6], dtype=torch.float64))


def test_shards_add_up():
    one, other = Given(), Given()
    one.update([1.0, 2.0])
    other.update([9.0])
    one.merge_state(other)
    assert one.compute() == 4.0 and sorted(one.per_clip().tolist()) == [1.0, 2.0, 9.0]


def test_sums_are_in_float64():
    metric = Given()
    metric.update(torch.full((1,), 2.0**24))
    metric.update(torch.ones(1))
    assert metric.total == 2**24 + 1  # which float32 has not


def test_nothing_is_no_mean():
    metric = Given()
    assert metric.per_clip().tolist() == []
    for values in ([], [float("nan")]):
        metric.update(values)
        with pytest.raises(UserError, match="Given got no clips on which it is defined"):
            metric.compute()


def luma(x):
    return (np.array([0.299, 0.587, 0.114])[:, None, None] * x).sum(-3)


def laplacian(y):
    return y[..., :-2, 1:-1] + y[..., 2:, 1:-1] + y[..., 1:-1, :-2] + y[..., 1:-1, 2:] - 4 * y[..., 1:-1, 1:-1]


CURVES = {
    "change": lambda x: np.median(np.abs(x - x[:, :1]).mean(2), axis=(2, 3)),
    "sharpness": lambda x: laplacian(luma(x)).var((2, 3), ddof=1),
    "contrast": lambda x: luma(x).std((2, 3), ddof=1),
    "saturation": lambda x: (x.max(2) - x.min(2)).mean((2, 3)),
}


@pytest.mark.parametrize("quantity", CURVES)
def test_drift_is_the_slope_of_the_curve_relative_to_its_start(quantity):
    metric, x = Drift(quantity), clips()
    metric.update(x)
    curve = CURVES[quantity](x.numpy().astype(float))
    curve = curve if quantity == "change" else curve / curve[:, :1]
    wanted = np.polyfit(np.arange(6), curve.T, 1)[0]
    assert metric.per_clip().numpy() == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert float(metric.compute()) == pytest.approx(wanted.mean(), rel=1e-4, abs=1e-6)


def test_an_unknown_quantity_of_drift_names_the_closest():
    with pytest.raises(UserError, match="drift quantity is 'sharpnes'; did you mean sharpness"):
        Drift("sharpnes")


def test_flicker_is_the_median_change_from_frame_to_frame():
    metric, x = Flicker(), clips()
    metric.update(x)
    change = np.abs(np.diff(x.numpy().astype(float), axis=1)).mean(2)
    assert metric.per_clip().numpy() == pytest.approx(np.median(change, axis=(2, 3)).mean(1), rel=1e-5)


def test_the_masks_area_is_the_chance_that_what_moves_is_copied_less():
    rng = np.random.default_rng(0)
    mask, motion = rng.random((2, 3, 4, 4)).round(1), np.zeros((2, 4, 4, 4), bool)
    motion[:, :, :2, 1:3] = True
    metric = MaskAuc()
    metric.update(torch.from_numpy(mask), torch.from_numpy(motion))
    for ours, values, region in zip(metric.per_clip(), mask, motion[:, 1:], strict=True):
        u = stats.mannwhitneyu(-values[region], -values[~region]).statistic  # ties count half
        assert float(ours) == pytest.approx(u / (region.sum() * (~region).sum()))


class Sure:
    """Scores of a classifier that recognises exactly ``seen``: (colour, motion) pairs of each clip."""

    name, digest = "sure", "0"

    def __init__(self, *seen):
        self.seen = seen

    def attributes(self, clips_BTCHW):
        pair = torch.zeros(len(self.seen), 8, 9)
        for b, pairs in enumerate(self.seen):
            for colour, motion in pairs:
                pair[b, colour, motion] = 5
        return {"colour": pair.amax(2), "pair": pair}


def test_caption_accuracy_is_the_share_of_named_pairs():
    metric = CaptionAccuracy(Sure([(1, 2), (3, 4)], [(1, 2), (3, 5)], [(7, 0)]))
    named = torch.tensor([[1, 3], [1, 3], [7, -1]]), torch.tensor([[2, 4], [2, 4], [0, -1]])
    metric.update(clips(), *named)
    assert metric.per_clip().tolist() == [1.0, 0.5, 1.0] and float(metric.compute()) == pytest.approx(2.5 / 3)


def test_similarity_leaves_the_given_frame_out():
    x = clips(2, 4)
    worse = x.clone()
    worse[:, 0] = 0
    metric = FrameSimilarity("psnr")
    metric.update(worse, x)
    assert metric.per_clip().tolist() == [100.0, 100.0]
    other = clips(2, 4, seed=1)
    metric = FrameSimilarity("psnr")
    metric.update(other, x)
    squared = (other.double() - x.double()).pow(2).mean((2, 3, 4))[:, 1:]
    assert metric.per_clip().numpy() == pytest.approx((10 * torch.log10(255**2 / squared)).mean(1).numpy(), rel=1e-5)


def still(first, second):
    return torch.zeros(len(first), 2, *first.shape[-2:])


def test_warping_error_of_a_still_flow_is_the_squared_change():
    x = clips(2, 3)
    metric = WarpingError(flow=still)
    metric.update(x)
    wanted = ((x[:, 1:].double() - x[:, :-1].double()) / 255).pow(2).mean((1, 2, 3, 4))
    assert metric.per_clip().numpy() == pytest.approx(wanted.numpy(), rel=1e-5)


@pytest.mark.parametrize("T", [1, 2])
def test_warping_error_where_nothing_is_visible_is_undefined(T):
    away = WarpingError(flow=lambda first, second: torch.full((len(first), 2, *first.shape[-2:]), 999.0))
    away.update(clips(2, T))
    assert away.per_clip().isnan().all()
