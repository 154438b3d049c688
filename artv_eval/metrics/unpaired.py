"""The difference of two values of which only the intervals are known: clips or trainings apart, nothing paired.

The interval is MOVER's (Zou & Donner 2008, *Stat. Med.* 27, "construction of confidence limits about effect measures"):

    L = a − b − √((a − l_a)² + (u_b − b)²)      U = a − b + √((u_a − a)² + (b − l_b)²)

It takes the two as independent. Clips of the same prompts and seeds agree in part, so it is mostly too wide: a paired
test finds more where the rows of both are at hand.
"""

import math

from scipy.special import stdtr, stdtrit  # Student's t: its distribution and its quantile

from artv_eval.metrics.statistics import Comparison, Interval

METHOD = "unpaired, from the two intervals (Zou and Donner 2008)"


def unpaired_difference(a: Interval, b: Interval, independent: int, level: float = 0.95) -> Comparison:
    """a − b. ``independent``: clips, or trainings, behind the value that has fewer; at least 2.

    The p-value is below 1 − ``level`` exactly where the interval is without 0.
    """
    value = a.value - b.value
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    high = value + math.hypot(a.high - a.value, b.value - b.low)
    t = float(stdtrit(independent - 1, 0.5 + level / 2))
    error = (value - low if value > 0 else high - value) / t  # towards 0
    return Comparison(
        difference=value,
        low=low,
        high=high,
        p_value=2 * float(stdtr(independent - 1, -abs(value) / error)) if error > 0 else float(value == 0),
        n=min(a.n, b.n),
        level=level,
        standard_error=error,
        method=METHOD,
    )
