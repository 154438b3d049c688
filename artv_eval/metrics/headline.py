"""What the metric ``drift`` is: a quantity of every frame and a summary of its curve, as a protocol's card says.

Chosen by what sees faults, with :func:`best`: ``benchmarks/results/drift_power.md``, docs/metrics.md.
"""

from collections.abc import Mapping
from typing import Any

ANY_VIDEO = "sharpness/vde_even"
"""A card's default: what :func:`best` takes where neither the truth nor a standing camera is known."""

STILL_BACKGROUND = "change/slope"
"""What ``drift`` was before cards said what it is, and is where nobody says: a still camera's background."""

CHANGES = ("slope", "delta", "delta_abs", "vde", "vde_even")
"""Summaries that are 0 where nothing changes along the clip, which levels and shares are not."""

OF_A_STILL_CAMERA = ("change", "change_mean")


def curve_choices(measure: str, ends: int | None) -> dict[str, dict[str, Any]]:
    """Settings of metrics of curves that a card says: what ``drift`` is, and the frames of each end of a delta."""
    headline = {} if measure == STILL_BACKGROUND else {"drift": {"measure": measure}}
    return headline | ({} if ends is None else {"curve": {"ends": ends}})


def best(power: Mapping[str, float], *, truth: bool = False, still: bool = False) -> str:
    """The measure with the largest power of those that are a change along the clip and that the clips can have.

    Args:
        power: measure → mean over faults at n = 256, as ``benchmarks/drift_power.py`` gives it.
        truth: whether what is drawn in the clips is known. still: whether their camera is known to stand.
    """
    from artv_eval.metrics.truth import TRUTHS

    def can_be_had(measure: str) -> bool:
        quantity, _, summary = measure.partition("/")
        known = (truth or quantity not in TRUTHS) and (still or quantity not in OF_A_STILL_CAMERA)
        return known and summary in CHANGES

    return max(filter(can_be_had, power), key=lambda measure: power[measure])
