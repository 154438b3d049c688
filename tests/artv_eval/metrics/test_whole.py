"""Metrics of whole clips on long ones: the rows of clips in memory, from a few frames at a time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.features.base import seen_by
from artv_eval.features.c3d import C3D, C3dLogits
from artv_eval.features.i3d import I3dFeatures
from artv_eval.features.of_frames import MeanOfFrames
from artv_eval.features.preprocess import Transform
from artv_eval.features.shapes import shapes_classifier
from artv_eval.metrics import whole
from artv_eval.metrics.base import described
from artv_eval.metrics.caption import CaptionEvaluator
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.inception import InceptionScoreEvaluator
from artv_eval.metrics.mask import MaskEvaluator
from artv_eval.metrics.seconds import SecondsEvaluator


class MeanColour:
    """Mean colours of pictures, and of clips with no other way than to hold them."""

    name, digest, dim, device = "mean-colour", "1", 3, "cpu"

    def images(self, frames):
        return frames.float().mean((2, 3))

    def __call__(self, clips):
        assert clips.dtype == torch.uint8
        return clips.float().mean((1, 3, 4))


def requests(count, frames, height, width, **fields):
    sized = ClipRequest(index=0, prompt="", seed=0, num_frames=frames, height=height, width=width, fps=8.0)
    return [replace(sized, index=i, **fields) for i in range(count)]


def clip_set(frames, **fields):
    return ClipSet(requests(*frames.shape[:4], **fields), lambda i: GeneratedClip(frames[i]))


@pytest.fixture(scope="module")
def shapes():
    return shapes_classifier()


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(0).integers(0, 256, (3, 16, 40, 56, 3)).astype(np.uint8)


@pytest.fixture
def all_are_long(monkeypatch):
    """Every clip is looked at by a few frames."""

    def set_up():
        monkeypatch.setattr(whole, "HELD", 1)
        monkeypatch.setattr("artv_eval.features.running.PART", 7)
        monkeypatch.setattr("artv_eval.metrics.views.AT_ONCE", 5)

    return set_up


def c3d():
    torch.manual_seed(0)
    return C3dLogits(C3D(num_classes=5, width=2, hidden=8), "small", mean=np.full((3, 1, 1, 1), 90.0), bgr=True)


LABELS = {"colour": np.array([2, -1]), "motion_label": np.array([1, -1])}
METRICS = {
    "fvd, shapes": lambda shapes, transform: FvdEvaluator(shapes, transform=transform),
    "fvd, frames": lambda shapes, transform: FvdEvaluator(MeanOfFrames(MeanColour()), transform=transform),
    "fvd, whole": lambda shapes, transform: FvdEvaluator(MeanColour(), transform=transform),
    "inception": lambda shapes, transform: InceptionScoreEvaluator(c3d(), transform=transform),
    "caption": lambda shapes, transform: CaptionEvaluator(shapes),
}


@pytest.mark.parametrize("transform", [None, Transform(crop="largest", size=24, filter="area")], ids=["as is", "24"])
@pytest.mark.parametrize("name", sorted(METRICS))
def test_rows_of_long_clips_are_those_of_clips_in_memory(name, transform, shapes, clips, all_are_long):
    evaluator = METRICS[name](shapes, transform)
    together = evaluator.describe(clip_set(clips, labels=LABELS))
    all_are_long()
    rows = described(evaluator, clip_set(clips, labels=LABELS))
    assert rows.shape == together.shape and rows.dtype == together.dtype
    np.testing.assert_allclose(rows, together, rtol=1e-4, atol=1e-5)


def test_what_i3d_sees_is_what_it_takes_of_frames():
    """The part of its work that is done frame by frame: resized as floats, from −1 to 1."""
    features = object.__new__(I3dFeatures)
    features.device, features.size, features.filter = "cpu", 8, "area"
    clip = torch.arange(2 * 3 * 3 * 16 * 16).remainder(256).to(torch.uint8).view(2, 3, 3, 16, 16)
    seen = features.seen(clip)
    means = clip.double().view(2, 3, 3, 8, 2, 8, 2).mean((4, 6))
    torch.testing.assert_close(seen.double(), means / 127.5 - 1, atol=1e-6, rtol=0)
    assert seen_by(features, seen) is seen


class Striped:
    """A clip that is made where it is read; ``asked``: the most frames at once."""

    def __init__(self, frames, height=120, width=200):
        self.shape, self.asked = (frames, height, width, 3), 0

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, at):
        numbers = np.arange(len(self))[at]
        self.asked = max(self.asked, numbers.size)
        return np.broadcast_to(numbers.reshape(*numbers.shape, 1, 1, 1), (*numbers.shape, *self.shape[1:])).astype("u1")

    def __array__(self, *_, **__):
        raise AssertionError("a long clip was asked for as a whole")


def peak() -> int:
    """Most bytes that this process held since :func:`forget_the_peak`."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(text.split("VmHWM:")[1].split()[0])


def forget_the_peak() -> int:
    """Bytes held now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return peak()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are Linux's")
def test_memory_is_that_of_a_few_frames():
    """A clip of 1,500 frames has 108 MB; a view of it 4, as floats 17."""
    clip, evaluator = Striped(1500), FvdEvaluator(MeanOfFrames(MeanColour()))
    before = forget_the_peak()
    rows = described(evaluator, ClipSet(requests(1, *clip.shape[:3]), lambda i: GeneratedClip(clip)))
    assert peak() - before < 90e6 and clip.asked * 120 * 200 * 3 <= 1 << 22
    np.testing.assert_allclose(rows, (np.arange(1500) % 256).mean(), rtol=1e-6)


@pytest.mark.parametrize(("device", "at_once"), [("cpu", 3), ("cuda:0", 14)])
def test_a_gpu_is_given_more_frames_at_once(device, at_once, monkeypatch):
    """4 and 17 million bytes at most, of 832 × 480."""
    monkeypatch.setattr(whole, "HELD", 1)
    clip, extractor = Striped(17, 480, 832), MeanColour()
    extractor.device = device
    ((_, seen),) = whole.whole_for(extractor, ClipSet(requests(1, *clip.shape[:3]), lambda i: GeneratedClip(clip)))
    assert clip.asked == at_once and seen.shape == (1, 17, 3, 480, 832)
    assert seen[0, :, 0, 0, 0].tolist() == list(range(17))


def test_metrics_without_frames_read_none():
    clip = Striped(400)
    wanted = requests(1, *clip.shape[:3], labels={"motion": np.arange(400 * 64).reshape(400, 8, 8) % 3 == 0})
    found = ClipSet(wanted, lambda i: GeneratedClip(clip, np.zeros((399, 4, 4), np.float32), 2.5))
    assert described(SecondsEvaluator(), found).tolist() == [[2.5]]
    assert described(MaskEvaluator(), found).shape == (1, 3) and clip.asked == 0


def test_long_clips_of_different_lengths_are_refused(all_are_long):
    all_are_long()
    frames = [np.zeros((length, 8, 8, 3), np.uint8) for length in (9, 7)]
    mixed = ClipSet(requests(2, 9, 8, 8), lambda i: GeneratedClip(frames[i]))
    with pytest.raises(UserError, match=r"differ in size: \(9, 3\) and \(7, 3\)"):
        FvdEvaluator(MeanOfFrames(MeanColour())).describe(mixed)
    with pytest.raises(UserError, match="no clips to score"):
        FvdEvaluator(MeanColour()).describe(ClipSet([], lambda i: mixed[i][1]))


def test_so_many_clips_together_as_their_frames_allow(monkeypatch):
    sizes = []

    class Counted(MeanColour):
        def __call__(self, clips):
            sizes.append(len(clips))
            return super().__call__(clips)

    frames = np.zeros((9, 4, 8, 8, 3), np.uint8)
    FvdEvaluator(Counted()).describe(clip_set(frames))
    monkeypatch.setattr(whole, "HELD", 4 * 4 * 8 * 8 * 3)
    FvdEvaluator(Counted()).describe(clip_set(frames))
    assert sizes == [9, 4, 4, 1]
