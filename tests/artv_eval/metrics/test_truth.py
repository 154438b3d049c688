"""Metrics of what a synthetic world knows, on true clips changed by known amounts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from artv.data.shapes_long import LongShapesWorld
from artv.data.shapes_render import PALETTE
from artv.data.shapes_truth import ShapesTruth
from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.metrics.curves import CurveEvaluator
from artv_eval.metrics.truth import TRUTHS
from artv_eval.protocols.cards import load

T = 20
RIGHT = {"object_survival": 1, "object_colour": 1, "position_error": 0, "size_error": 0, "background_error": 0}


@pytest.fixture(scope="module")
def requests() -> list[ClipRequest]:
    """Clips of the second world with one object, a standing camera and no post."""
    found = load("shapes@2").requests(num=60, frames=T)
    return [r for r in found if not (r.labels["pans"] or r.labels["post"] or r.labels["colour"][1] >= 0)][:8]


def score(requests, change, *names, summary="level"):
    """Per clip, of the true clips after ``change(request, frames)``."""
    clips = ClipSet(requests, lambda i: GeneratedClip(change(requests[i], requests[i].real)))
    rows = CurveEvaluator(TRUTHS["background_error"]).describe(clips)
    found = [CurveEvaluator(TRUTHS[name], summary).per_clip(rows) for name in names]
    return found[0] if len(found) == 1 else found


def truth(request) -> ShapesTruth:
    return request.labels["truth"]


def test_the_truth_is_right(requests):
    for name, value in zip(RIGHT, score(requests, lambda r, x: x, *RIGHT), strict=True):
        assert (value == RIGHT[name]).all(), name
    assert (score(requests, lambda r, x: x, "background_psnr") == 100).all()
    assert score(requests, lambda r, x: x, "object_shape").mean() > 0.97


def test_a_background_that_is_brighter_by_seven(requests):
    def brighter(request, x):
        return np.minimum(x.astype(int) + 7, 255).astype(np.uint8)

    error, psnr = score(requests, brighter, "background_error", "background_psnr")
    np.testing.assert_allclose(error, 7, atol=0.02)
    np.testing.assert_allclose(psnr, 10 * np.log10(255**2 / 49), atol=0.03)


def test_a_background_that_slowly_gets_brighter(requests):
    def brighter(request, x):
        return np.minimum(x.astype(int) + 2 * np.arange(T)[:, None, None, None], 255).astype(np.uint8)

    np.testing.assert_allclose(score(requests, brighter, "background_error", summary="slope"), 2, atol=0.05)


def test_what_happens_to_objects_is_no_error_of_the_background(requests):
    def without(request, x):
        return np.ascontiguousarray(truth(request).window(0, T).background)

    survival, error = score(requests, without, "object_survival", "background_error")
    assert (survival == 0).all() and (error == 0).all()


def shifted(request, x, dx):
    """The objects ``dx`` pixels to the right of where they belong, over the same background."""
    known = truth(request).window(0, T)
    moved = np.roll(x.astype(int) - known.background, dx, axis=2)
    return (known.background + moved).clip(0, 255).astype(np.uint8)


def test_objects_that_are_three_pixels_off(requests):
    whole = [r for r in requests if truth(r).window(0, T).in_view[0].min() > 0.999][:5]
    assert len(whole) >= 2
    survival, position, size = score(
        whole, lambda r, x: shifted(r, x, 3), "object_survival", "position_error", "size_error"
    )
    # what was painted over another background is not quite the same colour at its rim
    assert (survival == 1).all()
    np.testing.assert_allclose(position, 3, atol=0.5)
    assert size.max() < 0.1


def test_objects_of_another_colour(requests):
    def repainted(request, x):
        known = truth(request).window(0, T)
        other = PALETTE[(request.labels["colour"][0] + 1) % 8]
        inside = known.masks[0][..., None] > 0.5
        return np.where(inside, (np.array(other) * 255).astype(np.uint8), x)

    colour, survival = score(requests, repainted, "object_colour", "object_survival")
    assert (colour == 0).all() and survival.max() < 0.5


def test_objects_of_half_the_diameter(requests):
    def smaller(request, x):
        world = truth(request).world
        plan = world.plan(np.array([request.index], np.uint64)) | {"begin": np.zeros(1, np.int64)}
        _, layers = world.of_length(T).drawn(plan | {"radius": plan["radius"] / 2})
        return layers.frames[0].permute(0, 2, 3, 1).numpy()

    np.testing.assert_allclose(score(requests, smaller, "size_error"), 0.5, atol=0.06)


def test_objects_of_another_shape(requests):
    def square_or_circle(request, x):
        world = truth(request).world
        plan = world.plan(np.array([request.index], np.uint64)) | {"begin": np.zeros(1, np.int64)}
        other = np.where(plan["shape"] >= 0, (plan["shape"] + 2) % 6, -1)
        return world.of_length(T).drawn(plan | {"shape": other})[1].frames[0].permute(0, 2, 3, 1).numpy()

    shape, colour, position = score(requests, square_or_circle, "object_shape", "object_colour", "position_error")
    assert np.nanmean(shape) < 0.1 and np.nanmean(colour) > 0.95 and np.nanmax(position) < 1.5


def test_a_moving_camera_is_left_out_and_no_truth_is_an_error(requests):
    panning = next(r for r in load("shapes@2").requests(num=60, frames=4) if r.labels["pans"])
    rows = CurveEvaluator(TRUTHS["background_error"]).describe(
        ClipSet([panning], lambda i: GeneratedClip(panning.real))
    )
    assert np.isnan(CurveEvaluator(TRUTHS["background_error"]).per_clip(rows)).all()
    bare = replace(requests[0], labels={})
    with pytest.raises(UserError, match="truth of a shapes world"):
        CurveEvaluator(TRUTHS["object_shape"]).describe(ClipSet([bare], lambda i: GeneratedClip(bare.real)))


def test_long_clips_are_measured_piece_by_piece_with_the_same_numbers():
    index, frames = 3, 150
    world = LongShapesWorld("test", num_frames=frames)
    assert not world.batch([index]).pans[0]
    clip = world.clip(index)
    batch = world.batch([index])
    request = ClipRequest(
        index=index, prompt=clip.caption, seed=0, num_frames=frames, height=64, width=64, fps=8.0, real=clip.frames,
        labels={"colour": batch.colour[0].numpy(), "shape": batch.shape[0].numpy(), "pans": False,
                "truth": ShapesTruth(world, index)},
    )  # fmt: skip
    noisy = torch.randint(0, 9, clip.frames.shape, generator=torch.Generator().manual_seed(0)).numpy()
    changed = (clip.frames.astype(int) + noisy).clip(0, 255).astype(np.uint8)
    rows = CurveEvaluator(TRUTHS["background_error"]).describe(ClipSet([request], lambda i: GeneratedClip(changed)))
    curve = CurveEvaluator(TRUTHS["background_error"]).curve(rows)
    known = ShapesTruth(world, index).window(0, frames)
    region = (known.masks == 0).all((0, 1))
    assert region.mean() > 0.2
    expected = np.abs(changed.astype(float) - known.background)[:, region].mean((1, 2))
    np.testing.assert_allclose(curve, expected, rtol=1e-5)
