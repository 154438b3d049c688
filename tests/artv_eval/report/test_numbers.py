"""Numbers as text: as many digits as the interval is worth, two of its width."""

import math

import pytest

from artv_eval.report.numbers import interval, number, probability


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (31.2468, 30.0, 32.0, "31.2"),  # width 2: tenths are two digits of it
        (31.2468, 31.1, 31.3, "31.25"),  # width 0.2
        (0.0123456, 0.012, 0.0125, "0.01235"),
        (31.2468, 0.0, 90.0, "31"),  # width 90: ones
        (312.468, 0.0, 900.0, "312"),  # hundreds are never rounded away
        (31.25, 31.25, 31.25 + 1e-9, "31.250000"),  # six digits after the point at the most …
        (3.14e-8, 2e-8, 4e-8, "3.1e-08"),  # … and what they cannot show is not shown as nothing
        (0.0, -1e-9, 1e-9, "0.000000"),
        (2.5, 2.5, 2.5, "2.500"),  # an interval without width says nothing about digits
        (31.2468, None, None, "31"),  # without an interval two digits of the value itself
        (0.0456, None, None, "0.046"),
        (0.0, None, None, "0.000"),
    ],
)
def test_digits_are_those_that_the_interval_makes_worth_showing(value, low, high, text):
    assert number(value, low, high) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_a_dash(value):
    assert number(value) == number(value, 0.0, 1.0) == "–"


def test_zero_has_no_sign():
    assert number(-0.0004, -0.3, 0.3) == "0.00" and number(-0.04, -0.3, 0.3) == "-0.04"


def test_an_end_that_is_missing_takes_the_interval_with_it():
    assert interval(1.0, 3.0) == "[1.0, 3.0]" and interval(-0.25, 0.15) == "[-0.25, 0.15]"
    assert interval(None, 3.0) == interval(1.0, None) == "–"


@pytest.mark.parametrize(("p", "text"), [(0.0, "< 0.001"), (0.00099, "< 0.001"), (0.001, "0.001"), (0.04567, "0.046")])
def test_a_p_value_is_never_zero(p, text):
    assert probability(p) == text and probability(1.0) == "1.000"
