"""The words of the shapes world: attributes, held-out combinations, and captions in varied wording."""

from collections.abc import Sequence

import numpy as np

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
SHAPES = ("circle", "ring", "square", "triangle", "star", "cross")
MOTIONS = ("left", "right", "up", "down", "sways", "hops", "spins", "grows", "shrinks")
SPEEDS = ("slowly", "quickly")
TINTS = ("grey", "brown", "teal", "olive", "mauve")

_TRAVEL = ("moves", "slides", "drifts", "glides", "travels")
_PHRASES = {
    "left": ("{v} left", "{v} to the left", "is going left"),
    "right": ("{v} right", "{v} to the right", "is going right"),
    "up": ("{v} up", "{v} upwards", "rises"),
    "down": ("{v} down", "{v} downwards", "sinks"),
    "sways": ("sways from side to side", "swings left and right", "bounces sideways"),
    "hops": ("hops up and down", "bounces up and down", "bobs vertically"),
    "spins": ("spins", "turns around itself", "rotates in place"),
    "grows": ("grows", "gets bigger", "becomes larger"),
    "shrinks": ("shrinks", "gets smaller", "becomes smaller"),
}
_GROUNDS = ("over {t} cloth", "on {t} ground", "over a background of {t}")


def is_held_out(colour, shape, motion):
    """Whether a combination of attribute indices (numbers or arrays) appears in the test split only (about 1 in 11)."""
    return (np.asarray(colour) * 5 + np.asarray(shape) * 3 + np.asarray(motion)) % 11 == 0


def _one_of(options: Sequence[str], u: float) -> str:
    return options[min(int(u * len(options)), len(options) - 1)]


def _object(colour: int, shape: int, motion: int, speed: int, u: Sequence[float]) -> str:
    action = _one_of(_PHRASES[MOTIONS[motion]], u[0]).format(v=_one_of(_TRAVEL, u[1]))
    if u[2] < 0.35:
        action = (
            f"{SPEEDS[speed]} {action}" if u[3] < 0.5 and not action.startswith("is") else f"{action} {SPEEDS[speed]}"
        )
    article = "an" if COLOURS[colour].startswith("o") else "a"
    return f"{article} {COLOURS[colour]} {SHAPES[shape]} {action}"


def caption(
    colours: Sequence[int],
    shapes: Sequence[int],
    motions: Sequence[int],
    speeds: Sequence[int],
    tint: int,
    u: Sequence[float],
) -> str:
    """One sentence about up to two objects (index −1 = none); ``u``: 16 numbers in [0, 1) that choose the words."""
    parts = [_object(colours[0], shapes[0], motions[0], speeds[0], u[0:4])]
    if colours[1] >= 0:
        parts.append(_object(colours[1], shapes[1], motions[1], speeds[1], u[4:8]))
    if len(parts) == 2 and u[8] < 0.5:
        parts.reverse()
    text = (" and " if u[9] < 0.6 else " while ").join(parts)
    return f"{text} {_one_of(_GROUNDS, u[11]).format(t=TINTS[tint])}" if u[10] < 0.6 else text
