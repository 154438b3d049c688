"""The worth of a component in training: power laws of which it is known, Fieller's interval, and what it covers."""

import numpy as np
import pytest

from artv.errors import UserError
from artv_eval.metrics.compute_worth import Worth, worth
from artv_eval.metrics.training_seeds import Measured

LENGTHS = (1000, 2000, 4000)


def laws(k, seeds, noise=0.0, rng=None):
    """a: 300 C^-0.4, b: the same at C / k; a share ``noise`` of each, by seed and model."""
    C = np.array(LENGTHS, float)
    values = np.stack([300 * C**-0.4, 300 * (C / k) ** -0.4])[..., None].repeat(seeds, -1)
    if rng is not None:
        values = values * np.exp(noise * rng.normal(size=values.shape))
    return Measured(values.ravel(), np.zeros((values.size, values.size)), 64)


def test_of_power_laws_it_is_exact():
    found = worth(laws(2.9, 3), LENGTHS, 3)
    assert (found.times, found.low, found.high) == pytest.approx((2.9, 2.9, 2.9)) and found.logarithm


def test_it_is_told_at_each_length():
    a, steeper = 300 * np.array(LENGTHS) ** -0.4, 300 * np.array(LENGTHS) ** -0.4 * np.array([1.5, 1.25, 1.0])
    values = np.stack([a, steeper])[..., None].repeat(2, -1)
    found = worth(Measured(values.ravel(), np.zeros((12, 12)), 64), LENGTHS, 2)
    slope = np.polyfit(np.log(LENGTHS), np.log(a * steeper) / 2, 1)[0]
    steps, times = zip(*found.at, strict=True)
    assert steps == LENGTHS and times == pytest.approx((a / steeper) ** (1 / slope)) and times[-1] == pytest.approx(1)
    assert np.prod(times) ** (1 / 3) == pytest.approx(found.times)


def test_a_metric_below_zero_is_taken_as_it_is():
    values = np.log(np.array(LENGTHS))[None, :, None] - np.array([7.5, 7.5 + np.log(3)])[:, None, None]
    values = -values.repeat(2, -1)
    found = worth(Measured(values.ravel(), np.zeros((12, 12)), 64), LENGTHS, 2)
    assert found.times == pytest.approx(3) and not found.logarithm


def test_its_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    made = [worth(laws(2.0, 4, 0.03, rng), LENGTHS, 4) for _ in range(600)]
    inside = np.mean([item.low is not None and item.low <= 2 <= item.high for item in made])
    assert 0.92 < inside < 0.98  # 600 draws: ± 0.009 at 0.95


def test_without_a_slope_there_is_no_interval():
    rng = np.random.default_rng(1)
    flat = Measured(np.exp(rng.normal(size=12)), np.zeros((12, 12)), 64)
    found = worth(flat, LENGTHS, 2)
    assert found.low is None and found.high is None


@pytest.mark.parametrize(
    ("low", "high", "why"),
    [(None, None, "2 seeds do not tell"), (0.0, 7e256, "its interval reaches beyond 0.001 or 1000")],
)
def test_a_number_that_is_not_known_is_not_said(low, high, why):
    found = Worth(times=float("inf"), low=low, high=high, seeds=2, level=0.95, logarithm=True, at=((2, 8.8e-9),))
    assert found.text("on", "off", "fvd").startswith("how many times the training of on it takes off to come to the")
    assert why in found.text("on", "off", "fvd") and "inf" not in found.text("on", "off", "fvd")


def test_one_length_or_one_seed_is_too_few():
    with pytest.raises(UserError, match="at least 2 × 2"):
        worth(laws(2.0, 1), LENGTHS, 1)
