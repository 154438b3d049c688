"""Summaries of curves over the frame index: what a clip's curve says in one number.

- ``level``: mean over the frames after the first, which a method may have been given.
- ``slope``: least squares, a frame.
- ``delta``: mean of the last frames minus mean of the first ones; ``delta_abs``: its absolute value, clip by clip. The
  ΔDrift of Rolling Forcing (Liu et al. 2025) is the latter with 5 s at each end, of VBench's imaging quality; FramePack
  (Zhang et al. 2025) takes 15 % at each end, which is what is taken here where nothing else is said.
- ``vde``: Video Drift Error as Inferix publishes it (LV-Bench, ``InterVBench/vde.py``; BlockVid): N equal chunks, m_i
  the mean of chunk i, Σ_{i=2..N} (N − i + 1) |m_i − m_1| / m_1. The weights are largest for the second chunk: drift
  that comes late counts least, and the sum grows with N².
- ``vde_even``: the same deviations, each counted alike: their mean. Clips of fewer than N frames have a chunk a frame.
- ``peak``: the largest value over the median one, above 1 for a clip with a jump. ``below_half``: share of frames with
  less than half of the clip's own mean of its first 15 %: a motion that has died down.

NaN frames are left out; a clip with none left is NaN.

Shape suffixes: n clips, T frames, N chunks.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from artv.errors import UserError

SHARE = 0.15  # of the frames, at each end
CHUNKS = 10  # as in LV-Bench


@dataclass(frozen=True)
class Summary:
    """``name``, the function of curves (n, T) → (n,), and whether better stays better: of a slope it does.

    ``least_frames``: of a clip that has a value.
    """

    name: str
    function: Callable[[np.ndarray], np.ndarray]
    keeps_direction: bool = True
    least_frames: int = 1

    def __call__(self, curve_nT: np.ndarray) -> np.ndarray:
        """(n,)."""
        with warnings.catch_warnings():  # of a mean over nothing, which is NaN
            warnings.simplefilter("ignore", RuntimeWarning)
            return self.function(np.asarray(curve_nT, np.float64))


def level(curve_nT: np.ndarray) -> np.ndarray:
    """Mean over the frames after the first."""
    return np.nanmean(curve_nT[:, 1:] if curve_nT.shape[1] > 1 else curve_nT, axis=1)


def slope(curve_nT: np.ndarray) -> np.ndarray:
    """Least-squares slope a frame, over the frames that are defined; NaN with fewer than two."""
    there = ~np.isnan(curve_nT)
    t = np.where(there, np.arange(curve_nT.shape[1], dtype=np.float64), np.nan)
    t -= np.nanmean(t, axis=1, keepdims=True)
    value = np.nansum(curve_nT * t, axis=1) / np.nansum(t**2, axis=1)
    return np.where(there.sum(1) >= 2, value, np.nan)


def ends(curve_nT: np.ndarray, frames: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(n,), (n,): means of the first and of the last frames; by default of 15 % each, at least one.

    Raises:
        UserError: the clips are too short for two such ends that do not overlap.
    """
    T = curve_nT.shape[1]
    few = max(1, round(SHARE * T)) if frames is None else frames
    if 2 * few > T:
        raise UserError(f"the first and the last {few} frames: clips have {T}; take at most {T // 2}")
    return np.nanmean(curve_nT[:, :few], axis=1), np.nanmean(curve_nT[:, -few:], axis=1)


def delta(frames: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Last minus first."""

    def last_minus_first(curve_nT: np.ndarray) -> np.ndarray:
        first, last = ends(curve_nT, frames)
        return last - first

    return last_minus_first


def chunk_means(curve_nT: np.ndarray, chunks: int = CHUNKS) -> np.ndarray:
    """(n, N): means of equal chunks; the frames that are left over at the end are not used, as in LV-Bench."""
    n, T = curve_nT.shape
    if chunks > T or chunks < 2:
        raise UserError(f"{chunks} chunks of clips of {T} frames: give at least 2 chunks and a frame for each")
    used = T // chunks * chunks
    return np.nanmean(curve_nT[:, :used].reshape(n, chunks, -1), axis=2)


def deviations(curve_nT: np.ndarray, chunks: int = CHUNKS) -> np.ndarray:
    """(n, N − 1): |m_i − m_1| / m_1 of the chunks after the first; infinite where m_1 is 0, as in LV-Bench."""
    m = chunk_means(curve_nT, chunks)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(m[:, 1:] - m[:, :1]) / m[:, :1]
    return np.where(m[:, :1] == 0, np.inf, ratio)


def vde(chunks: int = CHUNKS) -> Callable[[np.ndarray], np.ndarray]:
    """Video Drift Error as published: linear weights N − 1, …, 1."""
    return lambda curve_nT: (deviations(curve_nT, chunks) * np.arange(chunks - 1, 0, -1)).sum(1)


def vde_even(chunks: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """The mean relative deviation of the chunks after the first.

    ``chunks``: None = 10, or one a frame where a clip has fewer; a mean can be compared all the same, a sum could not.
    """
    return lambda curve_nT: deviations(curve_nT, chunks or min(CHUNKS, curve_nT.shape[1])).mean(1)


def peak(curve_nT: np.ndarray) -> np.ndarray:
    """Largest over median value of the frames after the first; one is added to both, so that stills give 1."""
    later = curve_nT[:, 1:]
    return (np.nanmax(later, axis=1) + 1) / (np.nanmedian(later, axis=1) + 1)


def below_half(curve_nT: np.ndarray) -> np.ndarray:
    """Share of the frames after the first with less than half of the mean at the beginning; NaN where that is."""
    later, start = curve_nT[:, 1:], ends(curve_nT[:, 1:])[0]
    below = np.where(np.isnan(later), np.nan, later < start[:, None] / 2)
    return np.where(np.isnan(start), np.nan, np.nanmean(below, axis=1))


SUMMARIES = {
    summary.name: summary
    for summary in (
        Summary("level", level),
        Summary("slope", slope),
        Summary("delta", delta(), least_frames=2),
        Summary("delta_abs", lambda curve_nT: np.abs(delta()(curve_nT)), keeps_direction=False, least_frames=2),
        Summary("vde", vde(), keeps_direction=False, least_frames=CHUNKS),
        Summary("vde_even", vde_even(), keeps_direction=False, least_frames=2),
        Summary("peak", peak, keeps_direction=False, least_frames=2),
        Summary("below_half", below_half, keeps_direction=False, least_frames=3),
    )
}
