"""Requests and clips for plugins' tests are those of the shapes world, with everything that a metric may need."""

import numpy as np
import pytest

from artv.data.shapes import ShapesWorld
from artv_eval.testing.clips import toy_clips, toy_requests
from artv_eval.testing.settings import function_of, made, same


def test_requests_are_clips_of_the_test_split():
    requests = toy_requests(3, frames=5, size=32, seed=2, start=7)
    world = ShapesWorld("test", seed=0, num_frames=5, size=32)
    assert [(r.index, r.seed) for r in requests] == [(7, 2007), (8, 2008), (9, 2009)]
    for request in requests:
        clip = world.clip(request.index)
        assert np.array_equal(request.real, clip.frames) and request.prompt == clip.caption
        assert np.array_equal(request.first_frame, clip.frames[0]) and request.real.shape == (5, 32, 32, 3)
        assert np.array_equal(request.labels["motion"], clip.motion) and (request.fps, request.num_frames) == (
            world.fps,
            5,
        )


def test_more_requests_begin_with_fewer():
    few, many = toy_requests(2, frames=4, size=16), toy_requests(5, frames=4, size=16)
    assert all(np.array_equal(a.real, b.real) and a.seed == b.seed for a, b in zip(few, many, strict=False))


@pytest.mark.parametrize("noise", [0.0, 6.0])
def test_clips_are_the_real_ones_with_so_much_noise_and_a_mask_of_what_stands(noise):
    for request, clip in toy_clips(2, frames=4, size=32, noise=noise):
        middle = (request.real > 40) & (request.real < 215)  # where nothing is cut off
        error = (clip.frames.astype(float) - request.real)[middle]
        assert error.std() == pytest.approx(noise, rel=0.05, abs=1e-9)
        moving = np.asarray(request.labels["motion"])[1:, ::4, ::4]
        assert clip.mask.dtype == np.float32 and clip.mask.shape == (3, 8, 8)
        assert (clip.mask[moving] == 0).all() and clip.mask[~moving] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("a", "b", "tolerance", "words"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.0, "they differ by 0.5"),
        ([1.0, 2.0], [1.0, 2.5], 0.4, "they differ by 0.5"),
        ([1.0], [1.0, 2.0], 9.0, r"shapes \(1,\) and \(2,\)"),
        ([np.nan, 1.0], [0.0, 1.0], 9.0, "they differ by 0"),
    ],
)
def test_arrays_are_the_same_or_it_is_said_by_how_much_not(a, b, tolerance, words):
    with pytest.raises(AssertionError, match=f"rows: {words}"):
        same(a, b, "rows", tolerance)


def test_equal_arrays_are_the_same_nan_for_nan():
    for a, b, tolerance in (([1.0, 2.0], [1.0, 2.5], 0.5), ([np.nan, 1.0], [np.nan, 1.0], 0.0), ([], [], 0.0)):
        assert same(a, b, "rows", tolerance) is None  # it raises otherwise


def test_what_a_target_makes_is_what_its_kind_says():
    assert function_of(lambda: abs, "reporters", {}) is abs
    with pytest.raises(AssertionError, match="the factory made a int; it must be a function"):
        function_of(lambda: 3, "reporters", {})
    with pytest.raises(AssertionError, match="the factory made a int without generate"):
        made(lambda: 3, "methods", "generate", {})
    with pytest.raises(AssertionError, match="the target is a int; it must be a factory or have generate"):
        made(3, "methods", "generate", {})
    with pytest.raises(AssertionError, match=r"has a default that JSON cannot hold|use numbers, texts"):
        made(lambda *, size=object(): 3, "methods", "generate", {})
