"""Clips looked at a few frames at a time: every frame once, every pair of neighbours once, whatever the sizes."""

import numpy as np
import pytest
import torch

from artv.errors import UserError
from artv_eval.metrics import views as module
from artv_eval.metrics.views import batches, by_frame, frames_at_once, together, views


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def few(monkeypatch):
    """Looks at so many frames of 6 × 5 pixels at a time."""
    return lambda count: monkeypatch.setattr(module, "VALUES", count * 6 * 5 * 3)


@pytest.mark.parametrize(
    ("shape", "frames"),
    [((16, 64, 64, 3), 64), ((500, 64, 64, 3), 64), ((16, 512, 512, 3), 5), ((9, 2160, 3840, 3), 1)],
)
def test_large_pictures_are_looked_at_in_smaller_numbers(shape, frames):
    assert frames_at_once(shape) == frames


@pytest.mark.parametrize("at_once", [1, 3, 4, 7, 100])
def test_views_cover_the_clip_and_know_what_was_before(few, at_once):
    clip = noise(7, 6, 5, 3)
    few(at_once)
    found = list(views(clip))
    assert np.array_equal(np.concatenate([view.frames for view in found]), clip)
    assert [view.start for view in found] == list(range(0, 7, min(at_once, 64)))
    for view in found:
        assert np.array_equal(view.opening, clip[0])
        before = clip[max(view.start - 1, 0)]
        assert np.array_equal(view.with_before, np.concatenate([before[None], view.frames]))


@pytest.mark.parametrize("at_once", [1, 2, 3, 5, 7])
def test_every_pair_of_neighbours_comes_once(few, at_once, clip_set):
    clips = noise(4, 7, 6, 5, 3)
    few(at_once)
    found = by_frame(clip_set(clips), lambda view: view.pairs_BTCHW[:, 1:].int() - view.pairs_BTCHW[:, :-1].int())
    wanted = np.diff(clips.astype(int), axis=1).transpose(0, 1, 4, 2, 3)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_side_by_side_clips_keep_their_order_and_their_opening(few, at_once, clip_set):
    clips = noise(5, 7, 6, 5, 3)
    few(at_once)

    def marked(view):
        assert view.length == 7 and len(view.requests) == len(view.frames_BTCHW)
        opening = (view.frames_BTCHW == view.opening_BTCHW).flatten(2).all(2)
        return torch.stack([opening.int(), view.frames_BTCHW[:, :, 0, 0, 0].int()], 2)

    found = by_frame(clip_set(clips), marked, most=2)
    assert np.array_equal(found[..., 1], clips[:, :, 0, 0, 0]) and found[:, 0, 0].all() and not found[:, 1:, 0].any()


@pytest.mark.parametrize(
    ("frames", "most", "device", "sizes"),
    [
        (16, 16, "cpu", [16, 4]),
        (16, 3, "cpu", [3] * 6 + [2]),
        (200, 16, "cpu", [4] * 5),
        (48, 16, "cpu", [5] * 4),
        (48, 16, "cuda:1", [10] * 2),  # nothing is done there yet
    ],
)
def test_so_many_clips_at_a_time_that_their_frames_stay_few(frames, most, device, sizes, clip_set):
    clips = clip_set(np.zeros((20, frames, 8, 8, 3), np.uint8))
    found = list(batches(clips, most, device))
    assert [len(batch) for batch in found] == sizes
    assert [request.index for batch in found for request, _ in batch] == list(range(20))


def test_at_least_one_clip_and_one_frame_at_a_time(few, clip_set):
    few(0)
    assert [len(batch) for batch in batches(clip_set(noise(3, 4, 6, 5, 3)))] == [1, 1, 1]


def test_clips_of_other_sizes_and_none_are_one_line(clip_set):
    requests = clip_set(noise(2, 4, 6, 5, 3)).requests
    sizes = [(4, 6, 5, 3), (4, 6, 8, 3)]
    odd = [(request, type("Clip", (), {"frames": noise(*size)})) for request, size in zip(requests, sizes, strict=True)]
    with pytest.raises(UserError, match=r"differ in size: \(4, 6, 5, 3\) and \(4, 6, 8, 3\)"):
        list(together(odd))
    with pytest.raises(UserError, match="no clips to score"):
        by_frame(clip_set(noise(2, 4, 6, 5, 3))[:0], lambda view: view.frames_BTCHW)


def test_pictures_that_are_no_bytes_are_refused():
    """A sum of bytes of pictures in 0..1 would be 0, without a word."""
    with pytest.raises(UserError, match="float32; metrics take uint8"):
        list(views(np.full((2, 4, 4, 3), 0.7, np.float32)))
