"""Quantities of pictures as a device counts them: those of the processor's path, on any device that is there."""

import numpy as np
import pytest
import torch

from artv_eval.api import ClipRequest, GeneratedClip
from artv_eval.metrics import device_views
from artv_eval.metrics.curves import curve_of_clip
from artv_eval.metrics.device_pictures import MEASURES, loops, median_of_pictures, medians
from artv_eval.metrics.device_views import apart, walk
from artv_eval.metrics.drift import DriftEvaluator, median_difference
from artv_eval.metrics.frames import FlickerEvaluator
from artv_eval.metrics.picture_curves import QUANTITIES

NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_GPU)]
IN_FLOATS = ("sharpness", "contrast", "saturation")  # of the processor's path


def request(clip):
    return ClipRequest(index=0, prompt="", seed=0, num_frames=len(clip), height=9, width=9, fps=8.0)


def damaged(height, width, frames=40):
    """A clip that moves, freezes, gets darker and comes back."""
    rng = np.random.default_rng(height)
    clip = rng.integers(0, 256, (frames, height, width, 3)) * np.linspace(1, 0.6, frames)[:, None, None, None]
    clip[7:10] = clip[7]
    clip[25:35] = clip[10:20]
    return clip.astype(np.uint8)


@pytest.fixture(scope="module", params=[(37, 54), (9, 7), (48, 80), (3, 4)], ids=str)
def clip(request):
    return damaged(*request.param)


@pytest.mark.parametrize("device", DEVICES)
def test_curves_are_those_of_the_processor(clip, device, monkeypatch):
    monkeypatch.setattr(device_views, "VALUES", 11 * clip[0].size)  # 40 frames in four views
    found = walk(MEASURES, request(clip), clip, device)
    assert set(MEASURES) == {*QUANTITIES, "flicker"}
    for name, quantity in QUANTITIES.items():
        wanted = curve_of_clip(quantity, request(clip), GeneratedClip(clip))
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5 if name in IN_FLOATS else 1e-15, err_msg=name)
    assert found["loops"].sum() == 10 and found["frozen"][1:].sum() == 2


@pytest.mark.parametrize("device", DEVICES)
def test_metrics_of_drift_and_flicker_have_the_same_rows(clip, device, clip_set):
    metrics = [FlickerEvaluator(), *map(DriftEvaluator, ("change", *IN_FLOATS))]
    found = walk({metric.digest: metric.on_device for metric in metrics}, request(clip), clip, device)
    for metric in metrics:
        (wanted,) = metric.describe(clip_set(clip[None]))
        np.testing.assert_allclose(found[metric.digest], wanted, rtol=1e-5, err_msg=metric.name)


@pytest.mark.parametrize("device", DEVICES)
def test_short_clips_are_measured_there_too_to_the_bit(clip, device, clip_set):
    clips = clip_set(np.stack([clip, clip[::-1]]))
    for metric in (FlickerEvaluator, DriftEvaluator):
        assert np.array_equal(metric(device=device).describe(clips), metric().describe(clips))


@pytest.mark.parametrize("device", DEVICES)
def test_the_median_of_pictures_is_the_processors(clip, device):
    x = torch.from_numpy(clip).permute(0, 3, 1, 2)[None]
    found = median_of_pictures(apart(x[0], x[0, :1]).to(device))
    assert torch.equal(found.cpu(), median_difference(x, x[:, :1])[0])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("most", [1, 6, 765])
def test_medians_are_numpys(most, device):
    rng = np.random.default_rng(most)
    for count in (1, 2, 3, 10, 999, 1000):
        whole = rng.integers(0, most + 1, (5, count), np.int16)
        whole[0], whole[1, : count // 2] = most, 0
        found = medians(torch.from_numpy(whole).to(device), most).cpu().numpy()
        assert np.array_equal(found, np.median(whole, axis=1))


@pytest.mark.parametrize("device", DEVICES)
def test_a_loop_needs_something_else_in_between(device):
    still = torch.zeros(300, 4, device=device)
    assert not loops(still).any()
    other = still.clone()
    other[3:6] = 200
    # from frame 9 on frames 0 to 2 are long enough ago; from 15 on the last one that is, 6, comes after what was other
    assert loops(other).cpu().nonzero().flatten().tolist() == list(range(9, 15))
