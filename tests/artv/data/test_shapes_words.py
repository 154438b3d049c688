"""Captions say what is to be seen, in every wording, and nothing else; one combination in eleven is for testing."""

import itertools
import re

import numpy as np
import pytest

from artv.data.shapes_words import COLOURS, MOTIONS, SHAPES, SPEEDS, TINTS, caption, is_held_out

NEVER = 0.999
MEANS = {
    "left": "left", "right": "right", "up": "up|upwards|rises", "down": "down|downwards|sinks",
    "sways": "sways|swings|sideways", "hops": "hops|bounces up|bobs", "spins": "spins|turns|rotates",
    "grows": "grows|bigger|larger", "shrinks": "shrinks|smaller",
}  # fmt: skip


def wording(**chosen):
    """The numbers that choose words: no speed, one object first, no ground, unless said otherwise."""
    u = [0.0, 0.0, NEVER, 0.0, 0.0, 0.0, NEVER, 0.0, NEVER, 0.0, NEVER, 0.0, 0.0, 0.0, 0.0, 0.0]
    for place, value in chosen.items():
        u[int(place[1:])] = value
    return u


def said(motion=0, colour=0, shape=0, speed=0, tint=0, second=None, **chosen):
    second = second or (-1, -1, -1, -1)
    rows = zip((colour, shape, motion, speed), second, strict=True)
    return caption(*rows, tint, wording(**chosen))


@pytest.mark.parametrize("motion", range(len(MOTIONS)), ids=MOTIONS)
def test_every_wording_of_a_motion_says_it_and_no_other(motion):
    texts = {said(motion, u0=a, u1=b) for a, b in itertools.product((0.0, 0.4, 0.9), (0.0, 0.3, 0.5, 0.7, 0.9))}
    assert len(texts) >= 3
    for text in texts:
        assert re.match(r"a red circle \w+", text)
        assert re.search(rf"\b({MEANS[MOTIONS[motion]]})\b", text)
        others = {name for name in ("left", "right", "up", "down") if name != MOTIONS[motion]}
        if MOTIONS[motion] in ("left", "right", "up", "down"):
            assert not any(re.search(rf"\b({MEANS[name]})\b", text) for name in others)


@pytest.mark.parametrize("shape", range(len(SHAPES)), ids=SHAPES)
@pytest.mark.parametrize("colour", range(len(COLOURS)), ids=COLOURS)
def test_colour_and_shape_are_named_with_the_right_article(colour, shape):
    article = "an" if COLOURS[colour][0] in "aeiou" else "a"
    assert said(colour=colour, shape=shape).startswith(f"{article} {COLOURS[colour]} {SHAPES[shape]} ")


@pytest.mark.parametrize("speed", range(len(SPEEDS)))
@pytest.mark.parametrize(("order", "action"), [(0.0, "{} moves left"), (0.9, "moves left {}")])
def test_speed_is_said_where_it_is_chosen_to_be(speed, order, action):
    assert said(speed=speed, u2=0.34, u3=order) == "a red circle " + action.format(SPEEDS[speed])
    assert SPEEDS[speed] not in said(speed=speed, u2=0.36, u3=order)


def test_is_going_slowly_keeps_its_order():
    assert said(speed=0, u0=0.9, u2=0.0, u3=0.0) == "a red circle is going left slowly"


@pytest.mark.parametrize("tint", range(len(TINTS)))
@pytest.mark.parametrize(
    ("u11", "ground"), [(0.0, "over {} cloth"), (0.5, "on {} ground"), (0.9, "over a background of {}")]
)
def test_the_ground_is_its_tint(tint, u11, ground):
    assert said(tint=tint, u10=0.59, u11=u11) == f"a red circle moves left {ground.format(TINTS[tint])}"
    assert TINTS[tint] not in said(tint=tint, u10=0.61, u11=u11)


@pytest.mark.parametrize(
    ("u8", "u9", "text"),
    [
        (0.9, 0.0, "a red circle moves left and a green star moves right"),
        (0.1, 0.0, "a green star moves right and a red circle moves left"),
        (0.9, 0.9, "a red circle moves left while a green star moves right"),
    ],
)
def test_two_objects_in_either_order(u8, u9, text):
    second = (COLOURS.index("green"), SHAPES.index("star"), MOTIONS.index("right"), 0)
    assert said(second=second, u8=u8, u9=u9) == text


def test_one_object_has_one_order():
    assert said(u8=0.1, u9=0.9) == said(u8=0.9, u9=0.0)


def test_held_out_are_one_in_eleven_and_every_word_is_also_in_training():
    colour, shape, motion = np.meshgrid(*(range(len(x)) for x in (COLOURS, SHAPES, MOTIONS)), indexing="ij")
    held = is_held_out(colour, shape, motion)
    assert held.mean() == pytest.approx(1 / 11, rel=0.1)
    assert all(held[c, s, m] == bool(is_held_out(c, s, m)) for c, s, m in [(0, 0, 0), (1, 2, 0), (7, 5, 8), (3, 1, 4)])
    for axis, words in enumerate((COLOURS, SHAPES, MOTIONS)):
        others = tuple(i for i in range(3) if i != axis)
        assert (~held).any(others).all() and held.any(others).sum() >= len(words) - 1
