"""VBench's quality, semantic and total score from its sixteen dimensions.

As its ``scripts/cal_final_score.py`` with ``scripts/constant.py``: each dimension is scaled by fixed ends; quality and
semantic are weighted means of those; the total is their mean, quality counted four times.

Shape legend: d dimensions (16 of the total, 7 of quality, 9 of semantic).
"""

import numpy as np

from artv_vbench import ALL

QUALITY = (
    "subject_consistency", "background_consistency", "temporal_flickering", "motion_smoothness", "aesthetic_quality",
    "imaging_quality", "dynamic_degree",
)  # fmt: skip
SEMANTIC = (
    "object_class", "multiple_objects", "human_action", "color", "spatial_relationship", "scene", "appearance_style",
    "temporal_style", "overall_consistency",
)  # fmt: skip
ENDS = {
    "subject_consistency": (0.1462, 1.0),
    "background_consistency": (0.2615, 1.0),
    "temporal_flickering": (0.6293, 1.0),
    "motion_smoothness": (0.706, 0.9975),
    "scene": (0.0, 0.8222),
    "appearance_style": (0.0009, 0.2855),
    "temporal_style": (0.0, 0.364),
    "overall_consistency": (0.0, 0.364),
}
"""Lowest and highest value of a dimension; 0 and 1 where nothing is said."""
WEIGHTS = {"dynamic_degree": 0.5}
"""Weight of a dimension among its like; 1 where nothing is said."""
QUALITY_WEIGHT, SEMANTIC_WEIGHT = 4, 1


OF = {"total": ALL, "quality": QUALITY, "semantic": SEMANTIC}
"""The dimensions that each is of."""


def total(of: str, mean_d: np.ndarray) -> float:
    """``total``, ``quality`` or ``semantic`` of the means of its dimensions, (d,) in the order of ``OF``."""
    values = dict(zip(OF[of], map(float, mean_d), strict=True))
    if of != "total":
        weights = [WEIGHTS.get(name, 1.0) for name in values]
        return float(np.average([_scaled(name, value) for name, value in values.items()], weights=weights))
    quality, semantic = (total(part, np.array([values[name] for name in OF[part]])) for part in ("quality", "semantic"))
    return (QUALITY_WEIGHT * quality + SEMANTIC_WEIGHT * semantic) / (QUALITY_WEIGHT + SEMANTIC_WEIGHT)


def _scaled(name: str, value: float) -> float:
    low, high = ENDS.get(name, (0.0, 1.0))
    return (value - low) / (high - low)
