"""Summaries of curves against the formulas as their authors write them, and against closed forms."""

import numpy as np
import pytest

from artv.errors import UserError
from artv_eval.metrics.curve_factories import summary_of
from artv_eval.metrics.summaries import SUMMARIES

T = 60


def inferix_vde(metrics: list[float]) -> float:
    """The sum of vde() in Inferix's InterVBench/vde.py, written out chunk by chunk."""
    n, first = len(metrics), metrics[0]
    return sum((n - i + 1) * abs(metrics[i - 1] - first) / first for i in range(2, n + 1))


def test_vde_is_the_published_sum():
    curve = np.random.default_rng(0).uniform(0.5, 2, (5, 97))
    ours = summary_of("vde", chunks=7)(curve)
    for row, value in zip(curve, ours, strict=True):
        chunks = [
            float(np.mean(row[k * 13 : (k + 1) * 13])) for k in range(7)
        ]  # 97 // 7 = 13; six frames are left over
        assert value == pytest.approx(inferix_vde(chunks))
    curve[0, :13] = 0
    assert np.isinf(summary_of("vde", chunks=7)(curve)).tolist() == [True] + [False] * 4  # as there


def test_even_vde_of_a_short_clip_has_a_chunk_a_frame():
    curve = np.array([[2.0, 3.0, 1.0, 6.0]])
    assert SUMMARIES["vde_even"](curve)[0] == pytest.approx((1 / 2 + 1 / 2 + 4 / 2) / 3)
    with pytest.raises(UserError, match="10 chunks of clips of 4 frames"):
        SUMMARIES["vde"](curve)  # the published sum grows with the number of chunks


def test_vde_counts_late_drift_least_and_even_vde_does_not():
    early, late = np.ones((2, 1, 100))
    early[0, 10:20] = late[0, 90:] = 2.0
    assert summary_of("vde")(early) == 9 and summary_of("vde")(late) == 1
    assert summary_of("vde_even")(early) == summary_of("vde_even")(late) == pytest.approx(1 / 9)


def test_delta_is_last_minus_first():
    curve = np.stack([np.arange(T), np.arange(T)[::-1]]).astype(float)
    assert SUMMARIES["delta"](curve).tolist() == [T - 9, 9 - T]  # 9 frames are 15 %
    assert SUMMARIES["delta_abs"](curve).tolist() == [T - 9, T - 9]
    assert summary_of("delta", ends=20)(curve).tolist() == [40, -40]
    # as Rolling Forcing reports it: 70.06 in the first, 65.31 in the last five seconds
    quality = np.repeat([[70.06, 60.0, 65.31]], 40, axis=1).reshape(1, 3, 40).reshape(1, -1)
    quality = np.concatenate([np.full((1, 40), 70.06), np.full((1, 40), 60.0), np.full((1, 40), 65.31)], axis=1)
    assert summary_of("delta_abs", ends=40)(quality)[0] == pytest.approx(4.75)


def test_slope_is_numpys_and_leaves_out_what_is_undefined():
    curve = np.random.default_rng(1).normal(size=(3, T))
    curve[1, ::3] = np.nan
    curve[2, 1:] = np.nan
    slope = SUMMARIES["slope"](curve)
    for row, value in zip(curve[:2], slope, strict=False):
        there = ~np.isnan(row)
        assert value == pytest.approx(np.polyfit(np.flatnonzero(there), row[there], 1)[0])
    assert np.isnan(slope[2])


def test_level_peak_and_motion_that_dies():
    motion = np.full((1, T), 3.0)
    motion[0, 0] = 0
    assert SUMMARIES["level"](motion)[0] == 3
    cut = motion.copy()
    cut[0, 30] = 39
    assert SUMMARIES["peak"](cut)[0] == 10 and SUMMARIES["peak"](motion)[0] == 1
    dies = motion.copy()
    dies[0, 41:] = 0.5
    assert SUMMARIES["below_half"](dies)[0] == pytest.approx(19 / 59)


def test_frames_without_a_value_are_left_out_of_what_dies_and_a_clip_without_any_has_none():
    motion = np.full((4, 21), 4.0)
    motion[0, 11:] = 1
    motion[1] = motion[0]
    motion[1, 16:] = np.nan
    motion[2] = np.nan  # such as a clip in which the camera moves
    motion[3, 1:4] = np.nan  # nothing is known of the beginning that it is measured by
    assert SUMMARIES["below_half"](motion) == pytest.approx([10 / 20, 5 / 15, np.nan, np.nan], nan_ok=True)


@pytest.mark.parametrize("name", SUMMARIES)
def test_no_summary_makes_a_number_of_a_clip_without_any(name):
    assert np.isnan(SUMMARIES[name](np.full((2, 30), np.nan))).all()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: summary_of("vde", chunks=80)(np.ones((1, T))), "80 chunks of clips of 60 frames"),
        (lambda: summary_of("delta", ends=31)(np.ones((1, T))), "first and the last 31 frames: clips have 60"),
        (lambda: summary_of("slop"), "slope"),
    ],
)
def test_what_cannot_be_summed_up_is_said(make, reason):
    with pytest.raises(UserError, match=reason):
        make()
