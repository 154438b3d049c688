"""Poses in closed form, outlines against polygons, areas of circles, and what covers what."""

import math

import numpy as np
import pytest
import torch
from matplotlib.path import Path
from scipy.signal import sawtooth

from artv.data import shapes_render as render
from artv.data.shapes_render import AREA, DISTANCE, PALETTE, TINT_RGB, Scene
from artv.data.shapes_words import MOTIONS, SHAPES

SECONDS = torch.linspace(0, 4, 33)
SLOW, QUICK = 0, 1


def plan(shapes=("circle", None), motion="right", speed=SLOW, **changes):
    """One clip: objects in the middle, not turned, without jitter of colour."""
    shape = [-1 if name is None else SHAPES.index(name) for name in shapes]
    one = {
        "shape": torch.tensor([shape]),
        "colour": torch.tensor([[0, 1]]),
        "motion_label": torch.full((1, 2), MOTIONS.index(motion)),
        "speed": torch.full((1, 2), speed),
        "start": torch.full((1, 2, 2), 32.0),
        "radius": torch.full((1, 2), 10.0),
        "turn": torch.zeros(1, 2),
        "jitter": torch.full((1, 2), 0.5),
        "sign": torch.ones(1, 2),
        "colour_jitter": torch.zeros(1, 2, 3),
    }
    return one | {key: torch.tensor(value) for key, value in changes.items()}


def scene(one, ground=0.5, size=64, frames=1, **changes):
    """The objects where the plan has them at first, over one grey."""
    pose = {key: value.clone() for key, value in render.poses(one, torch.zeros(1, 1, frames)).items()}
    still = torch.zeros(1, frames, 2)
    return Scene(ground=torch.full((1, 1, 3, size, size), ground), pose=pose, camera=still, **changes)


@pytest.mark.parametrize("speed", [SLOW, QUICK])
@pytest.mark.parametrize(
    ("motion", "direction"), [("left", (-1, 0)), ("right", (1, 0)), ("up", (0, -1)), ("down", (0, 1))]
)
def test_travel_is_straight_at_the_pace_of_the_words(motion, direction, speed):
    """7.2 or 13.6 pixels a second; y points down."""
    pose = render.poses(plan(motion=motion, speed=speed), SECONDS[None, None])
    travelled = (7.2, 13.6)[speed] * SECONDS
    torch.testing.assert_close(pose["x"][0, 0], 32 + direction[0] * travelled)
    torch.testing.assert_close(pose["y"][0, 0], 32 + direction[1] * travelled)
    assert (pose["radius"] == 10).all() and (pose["angle"] == 0).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("motion", "along", "across"), [("sways", "x", "y"), ("hops", "y", "x")])
def test_swings_are_scipys_triangle_wave(motion, along, across, sign):
    """±9 pixels from the middle; a whole swing is 36 pixels of travel."""
    pose = render.poses(plan(motion=motion, sign=[[sign, sign]]), SECONDS[None, None])
    turns = 7.2 * SECONDS.numpy() / 36
    expected = 32 + sign * 9 * sawtooth(2 * np.pi * (turns + 0.25), 0.5)
    np.testing.assert_allclose(pose[along][0, 0], expected, atol=1e-4)
    assert (pose[across] == 32).all()


def test_growing_shrinking_and_spinning():
    travelled = 7.2 * SECONDS
    at = SECONDS[None, None]
    grows, shrinks = (render.poses(plan(motion=m), at)["radius"][0, 0] / 10 for m in ("grows", "shrinks"))
    torch.testing.assert_close(grows, 1 + 0.75 * travelled / 22)
    torch.testing.assert_close(shrinks, 0.25 + 0.75 * torch.exp(-travelled / 20))
    spins = render.poses(plan(motion="spins", turn=[[0.5, 0.5]], sign=[[-1.0, 1.0]]), at)["angle"][0]
    torch.testing.assert_close(spins[0], 0.3 - 0.13 * travelled)
    torch.testing.assert_close(spins[1], 0.3 + 0.13 * travelled)


def polygon(name):
    """Corners of each straight-edged shape at radius 1; y points down."""
    around = [(math.sin(a), -math.cos(a)) for a in np.arange(10) * math.pi / 5]
    return {
        "square": [(0.82, 0.82), (-0.82, 0.82), (-0.82, -0.82), (0.82, -0.82)],
        "triangle": [(0, -1.04), (1.04 * 0.866, 0.52), (-1.04 * 0.866, 0.52)],
        "star": [(r * x, r * y) for r, (x, y) in zip([1.1, 0.5] * 5, around, strict=True)],
        "cross": [
            (0.34, 1), (-0.34, 1), (-0.34, 0.34), (-1, 0.34), (-1, -0.34), (-0.34, -0.34), (-0.34, -1), (0.34, -1),
            (0.34, -0.34), (1, -0.34), (1, 0.34), (0.34, 0.34),
        ],
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", ["square", "triangle", "star", "cross"])
def test_outlines_are_those_of_polygons(name):
    rng = np.random.default_rng(0)
    points = rng.uniform(-1.3, 1.3, (4000, 2))
    u, v = torch.from_numpy(points.T)
    found = DISTANCE[name](u, v).numpy()
    away = np.abs(found) > 5e-3
    inside = Path([*polygon(name), polygon(name)[0]], closed=True).contains_points(points)
    assert away.mean() > 0.95 and np.array_equal(found[away] < 0, inside[away])


@pytest.mark.parametrize(("name", "inner", "outer"), [("circle", 0.0, 0.95), ("ring", 0.5, 1.0)])
def test_round_outlines_are_distances(name, inner, outer):
    r = torch.linspace(0, 1.5, 300, dtype=torch.float64)
    expected = torch.maximum(inner - r, r - outer) if inner else r - outer
    torch.testing.assert_close(DISTANCE[name](0.6 * r, -0.8 * r), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", SHAPES)
def test_areas_are_of_the_outlines(name):
    """Monte Carlo, 3 standard errors."""
    points = torch.rand(200_000, 2, generator=torch.Generator().manual_seed(1)) * 2.4 - 1.2
    share = float((DISTANCE[name](*points.T) < 0).double().mean())
    assert AREA[name] == pytest.approx(share * 2.4**2, abs=3 * 2.4**2 * (share * (1 - share) / 200_000) ** 0.5)


@pytest.mark.parametrize(("name", "turns"), [("square", 4), ("cross", 4), ("triangle", 3), ("star", 5)])
def test_a_turn_of_its_own_symmetry_changes_no_pixel(name, turns):
    """But its shading, which turns with it."""
    drawn = [render.composite(scene(plan((name, None), turn=[[t / 0.6] * 2])), plan((name, None)), 64).masks
             for t in (0.2, 0.2 + 2 * math.pi / turns, 0.2 + math.pi / turns)]  # fmt: skip
    torch.testing.assert_close(drawn[0], drawn[1], atol=2e-3, rtol=0)
    assert (drawn[0] - drawn[2]).abs().max() > 0.5


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize(
    ("x", "share"),
    [(32.0, 1.0), (0.0, 0.5), (64.0, 0.5), (-9.6, 0.0), (73.6, 0.0)],
)
def test_the_share_of_a_circle_that_is_in_the_picture(x, share, size):
    one = plan(start=[[[x, 32.0], [32.0, 32.0]]])
    layers = render.composite(scene(one, size=size), one, size)
    assert float(layers.in_view[0, 0]) == pytest.approx(share, abs=0.01)
    assert float(layers.seen[0, 0]) == pytest.approx(share, abs=0.01)
    assert float(layers.masks[0, 0].sum()) == pytest.approx(share * math.pi * (9.5 * size / 64) ** 2, rel=0.02, abs=0.5)
    assert not layers.masks[0, 1].any() and not layers.in_view[0, 1].any()


def test_the_second_object_lies_on_the_first():
    """A circle of half the size in the middle of a square."""
    one = plan(("square", "circle"), radius=[[10.0, 5.0]])
    layers = render.composite(scene(one), one, 64)
    square, circle = 16.4**2, math.pi * 4.75**2
    assert layers.seen[0].flatten().tolist() == pytest.approx([(square - circle) / square, 1], abs=0.01)
    assert layers.in_view[0].flatten().tolist() == pytest.approx([1, 1], abs=0.01)
    middle = layers.frames[0, 0, :, 32, 32].float() / 255
    torch.testing.assert_close(middle, torch.tensor(PALETTE[1]), atol=0.01, rtol=0.05)  # shaded
    assert (layers.masks.sum(1) <= 1 + 1e-5).all(), "no pixel is given twice"


def test_what_stands_before_an_object_hides_it_and_is_no_motion():
    post = torch.zeros(1, 1, 64, 64)
    post[..., 32:] = 1
    one = plan()
    layers = render.composite(scene(one, post=post), one, 64)
    assert float(layers.in_view[0, 0]) == pytest.approx(1, abs=0.01)
    assert float(layers.seen[0, 0]) == pytest.approx(0.5, abs=0.01)
    assert not layers.masks[..., 32:].any() and (layers.frames[..., 32:] == 128).all()


def test_motion_is_where_an_object_is_or_was():
    one = plan()
    drawn = scene(one, frames=4)
    drawn.pose["x"][0, 0] = torch.tensor([12.0, 32.0, 32.0, 52.0])
    drawn.pose["x"][0, 1] = 32.0
    layers = render.composite(drawn, one, 64)
    covered = layers.masks[0].sum(0) > 0.1
    assert not layers.motion[0, 0].any()
    for t in (1, 2, 3):
        assert torch.equal(layers.motion[0, t], covered[t] | covered[t - 1])
    assert covered[3].sum() < layers.motion[0, 3].sum() < 2.2 * covered[3].sum()


def test_where_the_camera_moved_everything_did():
    one = plan()
    drawn = scene(one, frames=3)
    drawn.camera[0, 2] = torch.tensor([1.0, 0.0])
    motion = render.composite(drawn, one, 64).motion[0]
    assert motion[2].all() and not motion[1].all() and not motion[0].any()


def test_backgrounds_have_their_tint_on_average_and_no_extremes():
    rng = torch.Generator().manual_seed(0)
    B = 200
    given = {"ground": (B, 18), "coarse": (B, 3, 5, 5), "fine": (B, 3, 10, 10)}
    drawn = {name: torch.rand(shape, generator=rng) for name, shape in given.items()}
    for tint, colour in enumerate(TINT_RGB):
        ground = render.background(drawn | {"tint": torch.full((B,), tint)}, 32)
        assert ground.shape == (B, 3, 32, 32) and ground.min() >= 0.08 and ground.max() <= 0.92
        assert ground.mean((0, 2, 3)).tolist() == pytest.approx(list(colour), abs=0.02)
        assert (ground.flatten(2).std(-1) > 0.01).all(), "a texture"
