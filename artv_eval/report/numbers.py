"""Numbers as text, to the digits that their intervals make worth showing."""

import math


def number(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """``value`` to the digits that its interval makes worth showing (two of the interval's width)."""
    if value is None or not math.isfinite(value):
        return "–"
    width = abs(high - low) if low is not None and high is not None else abs(value)
    digits = 1 - math.floor(math.log10(width)) if width > 0 and math.isfinite(width) else 3
    if digits > 6 and 0 < abs(value) < 1e-4:
        return f"{value:.1e}"
    text = f"{value:.{min(max(digits, 0), 6)}f}"
    return text.removeprefix("-") if float(text) == 0 else text  # no negative zero


def interval(low: float | None, high: float | None) -> str:
    """``[low, high]``, or a dash."""
    if low is None or high is None:
        return "–"
    return f"[{number(low, low, high)}, {number(high, low, high)}]"


def probability(p: float, caveat: str | None = None) -> str:
    """A p-value: never 0; with † where there is a caveat, which a line below the table says."""
    return ("< 0.001" if p < 0.001 else f"{p:.3f}") + ("†" if caveat else "")
