"""What the metric ``drift`` is: a quantity of every frame and a summary of its curve, as a protocol's card says.

Chosen by what sees faults: ``benchmarks/results/drift_power.md``, docs/metrics.md.
"""

ANY_VIDEO = "sharpness/vde_even"
"""A card's default: it sees most faults of the measures that have a direction and take any camera."""

STILL_BACKGROUND = "change/slope"
"""What ``drift`` was before cards said what it is, and is where nobody says: a still camera's background."""
