"""The band of a metric's curve over the frame index: an interval at each frame, over clips or over trainings.

Shape suffixes: n clips, d numbers a row, R resamples, S trainings, T frames.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit  # the quantile of Student's t

from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.metrics.base import curve_of, curve_values, mean_where_defined
from artv_eval.metrics.statistics import small_sample_tail

RESAMPLES = 200
Band = tuple[np.ndarray, np.ndarray]
Points = tuple[float | None, ...]


def banded_curve(
    evaluator: Any, rows: np.ndarray, reference: np.ndarray | None, groups: Sequence[Hashable] | None = None
) -> dict[str, Points] | None:
    """``values``, ``low`` and ``high`` of the metric against the frame index; None for a metric without a curve."""
    values = curve_of(evaluator, rows, reference)
    if values is None:
        return None
    low, high = points(band_over_clips(evaluator, rows, reference, groups))
    return {"values": values, "low": low, "high": high}


def band_over_clips(
    evaluator: Any,
    rows: np.ndarray,
    reference: np.ndarray | None,
    groups: Sequence[Hashable] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Band | None:
    """Low and high (T,): percentile bootstrap of a curve that is made of clips alone, widened for small n.

    ``groups``: (n,) what the clips of one prompt share, which are then drawn together; None: every clip is by itself.
    None for one clip, and for a curve against reference clips, whose resamples are biased.
    """
    curve = optional(evaluator, EvaluatorExtras, "curve")
    against = reference is not None and optional(evaluator, EvaluatorExtras, "curve_against")(rows, reference)
    members = _members(range(len(rows)) if groups is None else groups)
    if len(members) < 2 or isinstance(against, np.ndarray) or curve(rows) is None:
        return None
    rng, tail = np.random.default_rng(seed), small_sample_tail(len(members), (1 - level) / 2)
    drawn = [rng.integers(len(members), size=len(members)) for _ in range(RESAMPLES)]
    curves_RT = np.array([curve(rows[np.concatenate([members[k] for k in index])]) for index in drawn])
    low, high = np.quantile(curves_RT, [tail, 1 - tail], axis=0)
    return low, high


def _members(groups: Sequence[Hashable]) -> list[np.ndarray]:
    """The rows of each group."""
    found: dict[Hashable, list[int]] = {}
    for i, key in enumerate(groups):
        found.setdefault(key, []).append(i)
    return [np.array(rows) for rows in found.values()]


def band_over_trainings(curves_ST: np.ndarray, *, level: float = 0.95) -> Band | None:
    """Low and high (T,): Student's interval of the mean over trainings; None for fewer than two."""
    S = len(curves_ST)
    if S < 2:
        return None
    mean_T = mean_where_defined(curves_ST)
    reach_T = float(stdtrit(S - 1, 0.5 + level / 2)) * curves_ST.std(0, ddof=1) / np.sqrt(S)
    return mean_T - reach_T, mean_T + reach_T


def points(band: Band | None) -> tuple[Points, Points]:
    """Low and high for results; empty where there is no band."""
    return ((), ()) if band is None else (curve_values(band[0]), curve_values(band[1]))
