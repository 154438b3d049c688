"""The finder of objects on pictures drawn here, by numpy: colour, place, area, shape."""

import numpy as np
import pytest
import torch

from artv.data.shapes_render import PALETTE
from artv.data.shapes_words import COLOURS, SHAPES
from artv_eval.metrics.shapes_objects import locate, nearest_colour, shape_of

GREY = torch.full((1, 64, 64, 3), 128.0)
Y, X = np.mgrid[0:64, 0:64] + 0.5


def drawn(name, cx, cy, r, angle=0.0):
    """bool (64, 64): a shape in this file's own words."""
    x, y = X - cx, Y - cy
    x, y = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    d = np.hypot(x, y)
    corners = [2 * np.pi * k / 3 + np.pi / 2 for k in range(3)]
    return {
        "circle": d < r,
        "ring": (d < r) & (d > r / 2),
        "square": np.maximum(abs(x), abs(y)) < 0.8 * r,
        "triangle": np.max([-x * np.cos(a) - y * np.sin(a) for a in corners], axis=0) < r / 2,
        "cross": (np.minimum(abs(x), abs(y)) < r / 3) & (np.maximum(abs(x), abs(y)) < r),
    }.get(name)


@pytest.mark.parametrize("colour", range(len(PALETTE)))
@pytest.mark.parametrize("shade", [0.6, 1.0, 1.4])
def test_a_colour_in_any_of_its_shades_is_that_colour(colour, shade):
    here = torch.from_numpy(drawn("circle", 30, 30, 10))
    frame = GREY.clone()
    frame[0, here] = (torch.tensor(PALETTE[colour]) * shade).clamp(0, 1) * 255
    found = nearest_colour(frame, GREY)[0]
    assert (found[~here] == -1).all()
    if (frame[0, here][0] - 128).norm() >= 40 and shade == 1.0:  # another colour's shade may be as near
        assert (found[here] == colour).all(), COLOURS[colour]


def test_what_hardly_differs_from_the_background_is_background():
    frame = GREY.clone()
    frame[0, :8] += 20.0  # 35 grey levels in RGB
    assert (nearest_colour(frame, GREY) == -1).all()
    frame[0, :8] = torch.tensor(PALETTE[0]) * 255
    assert (nearest_colour(frame, frame) == -1).all()  # the background itself may have any colour


@pytest.mark.parametrize(("cx", "cy", "r"), [(20.0, 40.0, 9.0), (33.5, 12.25, 7.0)])
def test_place_and_area_are_those_of_a_circle(cx, cy, r):
    found = locate(torch.from_numpy(drawn("circle", cx, cy, r))[None])
    assert found.area.item() == pytest.approx(np.pi * r**2, rel=0.03)
    assert found.centre[0].tolist() == pytest.approx([cx, cy], abs=0.15)


def test_where_there_is_nothing_the_place_is_undefined():
    found = locate(torch.zeros(2, 64, 64, dtype=torch.bool))
    assert found.area.tolist() == [0, 0] and found.centre.isnan().all()


@pytest.mark.parametrize("name", [name for name in SHAPES if drawn(name, 32, 32, 9) is not None])
@pytest.mark.parametrize(("cx", "cy", "r", "angle"), [(32, 32, 12, 0.0), (22, 40, 9, 0.6), (40, 24, 15, 1.3)])
def test_a_shape_is_known_at_any_place_size_and_angle(name, cx, cy, r, angle):
    mask = torch.from_numpy(drawn(name, cx, cy, r, angle))[None]
    assert SHAPES[int(shape_of(mask, locate(mask)))] == name
