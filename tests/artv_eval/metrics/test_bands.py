"""Bands of curves against Student's intervals, frame by frame."""

import numpy as np
import pytest
from scipy import stats

from artv_eval.metrics.bands import band_over_clips, band_over_trainings
from artv_eval.metrics.clipsim import ClipSimEvaluator
from artv_eval.metrics.kvd import KvdEvaluator


class Encoder:
    name, digest, dim = "none", "0", 4


def student(values):
    return stats.t.interval(0.95, len(values) - 1, values.mean(0), stats.sem(values))


def test_a_band_over_clips_is_the_interval_of_each_frame():
    rows = np.random.default_rng(0).normal(np.linspace(1, 0, 6), np.linspace(0.5, 2, 6), (60, 6))
    low, high = band_over_clips(ClipSimEvaluator(Encoder()), rows, None)
    wanted = student(rows)
    assert high - low == pytest.approx(wanted[1] - wanted[0], rel=0.25)  # 200 resamples
    assert (low < rows.mean(0)).all() and (high > rows.mean(0)).all()


def test_a_band_over_trainings_is_students():
    curves = np.random.default_rng(1).normal(size=(4, 5))
    assert np.array(band_over_trainings(curves)) == pytest.approx(np.array(student(curves)))
    assert band_over_trainings(curves[:1]) is None


def test_what_has_no_curve_of_its_own_has_no_band():
    rows = np.ones((9, 4))
    assert band_over_clips(KvdEvaluator(Encoder()), rows, rows) is None
    assert band_over_clips(ClipSimEvaluator(Encoder()), rows[:1], None) is None
