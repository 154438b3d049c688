"""The difference of two values that only have intervals."""

import numpy as np
import pytest
from scipy import stats

from artv_eval.metrics.statistics import Interval
from artv_eval.metrics.unpaired import unpaired_difference


def of_mean(values):
    """Student's interval of a mean."""
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return Interval(value=values.mean(), low=low, high=high, n=len(values), level=0.95, standard_error=0, method="")


def test_two_means_have_the_error_of_welchs_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 30), rng.normal(0, 3, 30)
    found, welch = unpaired_difference(of_mean(a), of_mean(b), 30), stats.ttest_ind(a, b, equal_var=False)
    assert found.standard_error == pytest.approx(np.hypot(stats.sem(a), stats.sem(b)))
    assert found.difference / found.standard_error == pytest.approx(welch.statistic)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(welch.statistic), 29))


def test_equal_values_are_rejected_in_about_five_of_a_hundred_cases():
    rng = np.random.default_rng(1)
    rejected = [
        unpaired_difference(of_mean(rng.normal(size=12)), of_mean(rng.normal(size=12)), 12).p_value < 0.05
        for _ in range(1000)
    ]
    assert 0.02 < np.mean(rejected) < 0.065


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_p_and_an_uneven_interval_agree(shift):
    a = Interval(value=shift, low=shift - 1, high=shift + 2, n=20, level=0.95, standard_error=0, method="")
    b = Interval(value=0, low=-0.5, high=1, n=20, level=0.95, standard_error=0, method="")
    found = unpaired_difference(a, b, 20)
    assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)
    assert (found.low, found.high) == pytest.approx((shift - np.hypot(1, 1), shift + np.hypot(2, 0.5)))
