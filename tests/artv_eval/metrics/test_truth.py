"""Metrics of what a synthetic world knows, on true clips changed by known amounts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from artv.data.shapes import COLOURS
from artv.data.shapes_long import LongShapesWorld
from artv.data.shapes_render import PALETTE
from artv.data.shapes_truth import ShapesTruth, TruthWindow
from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.metrics.curves import CurveEvaluator
from artv_eval.metrics.truth import TRUTHS, background_region
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


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 130])
def test_the_region_is_what_no_object_ever_covers(frames):
    """Piece by piece the same as of all frames at once; with more frames it can only shrink."""
    known = ShapesTruth(LongShapesWorld("test"), 5)
    masks = known.window(0, frames).masks
    region = background_region(known.window, frames)
    assert np.array_equal(region, ~(masks > 0).any((0, 1)))
    assert not (background_region(known.window, frames + 20) & ~region).any()


class Known:
    """A truth that is written down: a red disc that stands, and a blue one that goes behind it, on grey."""

    def __init__(self, frames, size=64):
        y, x = np.mgrid[:size, :size]
        red = np.broadcast_to((x - 20) ** 2 + (y - 32) ** 2 <= 64, (frames, size, size))
        blue = np.stack([(x - (44 - 3 * t)) ** 2 + (y - 32) ** 2 <= 64 for t in range(frames)]) & ~red
        self.masks = np.stack([red, blue]).astype(np.float32)
        self.background = np.full((frames, size, size, 3), 128, np.uint8)
        self.frames = np.where(red[..., None], RED, np.where(blue[..., None], BLUE, self.background))

    def window(self, start, stop):
        masks, nothing = self.masks[:, start:stop], np.zeros(0)
        return TruthWindow(
            frames=self.frames[start:stop], background=self.background[start:stop], masks=masks, motion=nothing,
            centre=nothing, radius=nothing, in_view=nothing, seen=masks.sum((2, 3)) / masks[0, 0].sum(), camera=nothing,
        )  # fmt: skip


RED_NAME, BLUE_NAME = COLOURS.index("red"), COLOURS.index("blue")
RED, BLUE = ((np.array(PALETTE[name]) * 255).astype(np.uint8) for name in (RED_NAME, BLUE_NAME))


@pytest.fixture
def two_discs():
    """The truth, and a request of it."""
    known = Known(9)
    labels = {"truth": known, "pans": False, "colour": np.array([RED_NAME, BLUE_NAME]), "shape": np.array([0, 0])}
    return known, ClipRequest(index=0, prompt="", seed=0, num_frames=9, height=64, width=64, fps=8.0, labels=labels)


def curves(request, frames):
    """Name → (T,) of one clip."""
    rows = CurveEvaluator(TRUTHS["background_error"]).describe(ClipSet([request], lambda i: GeneratedClip(frames)))
    return {name: CurveEvaluator(quantity).curve(rows) for name, quantity in TRUTHS.items()}


def test_of_two_objects_the_values_are_their_mean(two_discs):
    known, request = two_discs
    without_red = np.where(known.masks[0][..., None] > 0, np.uint8(128), known.frames)
    assert (curves(request, known.frames)["object_survival"] == 1).all()
    blue = known.window(0, 9).seen[1]
    assert blue[0] == 1 and blue[-1] < 0.5  # it ends behind the red one, and is then not asked for
    found = curves(request, without_red)["object_survival"]
    np.testing.assert_array_equal(found, np.where(blue >= 0.5, 0.5, 0.0))


def test_the_error_of_the_background_by_hand(two_discs):
    """Frame t is 2 t too bright in every tenth column: a tenth of it on average, and the root of that squared."""
    known, request = two_discs
    region = ~(known.masks > 0).any((0, 1))
    frames = known.frames.copy()
    for t in range(9):
        frames[t, :, ::10] += np.uint8(2 * t)
    share = region[:, ::10].sum() / region.sum()
    found = curves(request, frames)
    np.testing.assert_allclose(found["background_error"], 2 * np.arange(9) * share, rtol=1e-5)
    assert found["background_psnr"][0] == 100
    expected = 10 * np.log10(255**2 / (4 * np.arange(1, 9) ** 2 * share))
    np.testing.assert_allclose(found["background_psnr"][1:], expected, rtol=1e-5)


def test_where_objects_cover_everything_there_is_no_background(two_discs):
    known, request = two_discs
    known.masks[1] = 1 - known.masks[0]
    found = curves(request, known.frames)
    assert np.isnan(found["background_error"]).all() and np.isnan(found["background_psnr"]).all()
    assert (found["object_survival"][:1] == 1).all()


@pytest.mark.parametrize("dx", [0, 1, 2, -3])
def test_a_disc_that_is_off_by_whole_pixels(two_discs, dx):
    known, request = two_discs
    known.masks, request.labels["colour"] = known.masks * np.float32([1, 0])[:, None, None, None], [RED_NAME, -1]
    known.frames = np.where(known.masks[0][..., None] > 0, RED, np.uint8(128)).astype(np.uint8)
    found = curves(request, np.roll(known.frames, dx, axis=2))
    np.testing.assert_allclose(found["position_error"], abs(dx), atol=1e-5)
    np.testing.assert_allclose(found["size_error"], 0, atol=1e-6)
    assert (found["object_survival"] == 1).all() and (found["object_colour"] == 1).all()


def test_a_disc_of_another_radius(two_discs):
    """The error of its size is that of the diameter: the root of the ratio of areas."""
    known, request = two_discs
    request.labels["colour"] = [RED_NAME, -1]
    y, x = np.mgrid[:64, :64]
    known.masks[1] = 0
    known.masks[0] = (x - 30) ** 2 + (y - 32) ** 2 <= 64
    known.frames[:] = np.where(known.masks[0, :, ..., None] > 0, RED, np.uint8(128))
    smaller = (x - 30) ** 2 + (y - 32) ** 2 <= 25
    frames = np.broadcast_to(np.where(smaller[..., None], RED, np.uint8(128)).astype(np.uint8), known.frames.shape)
    expected = 1 - np.sqrt(smaller.sum() / known.masks[0, 0].sum())
    np.testing.assert_allclose(curves(request, frames)["size_error"], expected, rtol=1e-5)
