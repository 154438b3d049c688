"""Draws of real clips from a data set of videos."""

import numpy as np
import pytest

from artv_eval.protocols.videos import _drawn


@pytest.mark.parametrize(("total", "number"), [(5, 3), (5, 5), (5, 12), (1, 4), (101, 2048)])
def test_each_video_is_drawn_before_any_is_drawn_twice(total, number):
    found = _drawn(total, number)
    counts = np.bincount(found, minlength=total)
    assert len(found) == number and counts.max() - counts.min() <= 1
    assert np.array_equal(_drawn(total, number), found)


@pytest.mark.parametrize("fewer", [1, 5, 6, 11])
def test_fewer_are_the_first_of_more(fewer):
    assert np.array_equal(_drawn(5, fewer), _drawn(5, 12)[:fewer])
    assert sorted(_drawn(5, 12)[:5]) == list(range(5))
