"""Which clips stand still: those alone count for temporal flickering under VBench's own prompts.

The rule of its ``static_filter.py`` for the speeds of :mod:`artv_vbench.inside.still`. VBench-Long leaves the filter
out, with its default flags.

Shape suffixes: T frames, P pairs (T + 1): neighbours, then the first and the last frame, both ways.
"""

import numpy as np

FILTERED = "temporal_flickering"
FIRST = 5  # static clips of a prompt that count
PIXELS, AT = 3.0, 256  # a pair moves above so many pixels, in a picture whose shorter side has so many


def is_static(speed_P: np.ndarray, side: int) -> bool:
    """The rule: at most an eighth of the neighbours move, and from the first to the last frame it is not far."""
    frames = len(speed_P) - 1
    threshold, many = PIXELS * side / AT, round(2 * frames / 16)
    return bool((speed_P[:-2] > threshold).sum() <= many and (speed_P[-2:] <= threshold * many * 2).all())
