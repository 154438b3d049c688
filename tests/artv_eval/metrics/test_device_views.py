"""One walk over a clip for several metrics: every frame read once, and what one cannot do costs no other."""

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval.api import ClipRequest
from artv_eval.metrics import device_views as module
from artv_eval.metrics.base import device_of, walked_on
from artv_eval.metrics.clipsim import AnchorSimilarity, ClipSimEvaluator
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.curves import CurveEvaluator, simple
from artv_eval.metrics.device_views import FrameMeasure, device_views, walk
from artv_eval.metrics.frames import FlickerEvaluator, FrameFidEvaluator
from artv_eval.metrics.picture_curves import consistency
from artv_eval.results.clips import StoredArray

REQUEST = ClipRequest(index=0, prompt="a clip", seed=0, num_frames=7, height=6, width=5, fps=8.0)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3), np.uint8)


def in_parts_of(clip, each, read=None):
    def part(number, shape):
        if read is not None:
            read.append(number)
        return clip[number * each :][: shape[0]].copy()

    return StoredArray(part, range(0, len(clip), each), clip.shape, np.uint8)


@pytest.mark.parametrize("at_once", [1, 2, 3, 5, 64])
@pytest.mark.parametrize("each", [2, 7])
def test_views_cover_the_clip_and_know_what_was_before(clip, at_once, each, monkeypatch):
    monkeypatch.setattr(module, "part_length", lambda shape: each)
    read = []
    found = list(device_views(in_parts_of(clip, each, read), CPU, at_once * clip[0].size))
    wanted = torch.from_numpy(clip).permute(0, 3, 1, 2)
    assert torch.equal(torch.cat([view.frames for view in found]), wanted)
    assert torch.equal(torch.cat([view.host for view in found]), wanted)
    assert torch.equal(torch.cat([view.previous for view in found]), wanted[[0, 0, 1, 2, 3, 4, 5]])
    assert all(torch.equal(view.opening, wanted[0]) for view in found)
    assert read == sorted(set(read)) and found[0].start == 0  # no part twice


def test_differences_and_luma_are_exact(clip):
    (view,) = device_views(clip, CPU)
    assert np.array_equal(view.from_opening.permute(0, 2, 3, 1), abs(clip.astype(int) - clip[0]))
    assert np.array_equal(view.from_previous[1:].permute(0, 2, 3, 1), abs(np.diff(clip.astype(int), axis=0)))
    assert np.array_equal(view.luma, clip.astype(int) @ [299, 587, 114])


def light(name="light", seen=None, broken=False):
    def measure(view):
        if seen is not None:
            seen.append(view.start)
        if broken and view.start:
            raise broken
        return view.frames.float().mean((1, 2, 3))

    return FrameMeasure(key=name, measure=measure, row=lambda request, found: found.numpy() + request.seed)


def test_what_several_measure_is_measured_once_and_a_failure_is_one_metrics(clip, monkeypatch):
    monkeypatch.setattr(module, "VALUES", 3 * clip[0].size)
    monkeypatch.setattr(module, "part_length", lambda shape: 1)
    seen, late = [], ValueError("no such luck")
    no_row = FrameMeasure(key="light", measure=light().measure, row=lambda request, found: found.nonsense)
    measures = {"a": light(seen=seen), "b": light(seen=seen), "broken": light("broken", broken=late), "no row": no_row}
    found = walk(measures, REQUEST, clip, "cpu")
    np.testing.assert_allclose(found["a"], clip.mean((1, 2, 3)), rtol=1e-6)
    assert np.array_equal(found["a"], found["b"]) and len(seen) <= 3
    assert found["broken"] is late and isinstance(found["no row"], AttributeError)
    with pytest.raises(OSError, match="full"):
        walk({"a": light(broken=OSError("full"))}, REQUEST, clip, "cpu")
    with pytest.raises(UserError, match="metrics take uint8"):
        walk({"a": light()}, REQUEST, clip / 255, "cpu")


class Colours:
    """Mean colours of pictures, and what it was given."""

    name, digest, dim, device = "colours", "1", 3, "cuda:1"

    def __init__(self):
        self.pictures = 0

    def images(self, frames):
        self.pictures += len(frames)
        return frames.float().mean((2, 3))

    def texts(self, texts):
        return torch.tensor([[len(text), 2.0, 3.0] for text in texts])


def test_metrics_of_one_encoder_see_a_frame_once(clip, clip_set):
    encoder = Colours()
    kinds = (AnchorSimilarity, ClipSimEvaluator, FrameFidEvaluator)
    metrics = [*(kind(encoder) for kind in kinds), CurveEvaluator(consistency(encoder, 2))]
    found = walk({metric.digest: metric.on_device for metric in metrics}, REQUEST, clip, "cpu")
    assert encoder.pictures == len(clip)
    for metric in metrics:
        (wanted,) = metric.describe(clip_set(clip[None], ["a clip"]))
        np.testing.assert_allclose(found[metric.digest], wanted, rtol=1e-6)


def test_where_metrics_work():
    assert walked_on(AnchorSimilarity(Colours())) == device_of(AnchorSimilarity(Colours())) == "cuda:1"
    assert walked_on(curve("motion", device="cuda")) == "cuda" and walked_on(curve("motion")) is None
    own = CurveEvaluator(simple("own", lambda view: view.frames.mean((1, 2, 3))), device="cuda")
    assert walked_on(own) is None  # it takes arrays
    assert device_of(object()) == "cpu" and walked_on(object()) is None


def test_a_metric_that_describes_in_its_own_way_does_not_walk():
    class Twice(FlickerEvaluator):
        def describe(self, clips):
            return 2 * super().describe(clips)

    assert walked_on(FlickerEvaluator("cuda")) == "cuda" and walked_on(Twice("cuda")) is None
