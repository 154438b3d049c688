"""Totals against the formula with VBench's table typed in again."""

import numpy as np
import pytest
from artv_vbench.totals import OF, total

# scripts/constant.py: name, lowest, highest, weight, and q or s
TABLE = """
subject_consistency .1462 1 1 q, background_consistency .2615 1 1 q, temporal_flickering .6293 1 1 q,
motion_smoothness .706 .9975 1 q, dynamic_degree 0 1 .5 q, aesthetic_quality 0 1 1 q, imaging_quality 0 1 1 q,
object_class 0 1 1 s, multiple_objects 0 1 1 s, human_action 0 1 1 s, color 0 1 1 s, spatial_relationship 0 1 1 s,
scene 0 .8222 1 s, appearance_style .0009 .2855 1 s, temporal_style 0 .364 1 s, overall_consistency 0 .364 1 s
"""


def totals(value):
    """All three; ``value``: dimension → its mean."""
    return {of: total(of, np.array([value[name] for name in names])) for of, names in OF.items()}


@pytest.mark.parametrize("seed", range(3))
def test_the_published_formula(seed):
    lines = [line.split() for line in TABLE.replace("\n", " ").split(",")]
    names, low, high, weight = [line[0] for line in lines], *np.array([line[1:4] for line in lines], float).T
    quality = np.array([line[4] == "q" for line in lines])
    values = np.random.default_rng(seed).random(16)
    scaled = (values - low) / (high - low) * weight
    means = [scaled[part].sum() / weight[part].sum() for part in (quality, ~quality)]
    found = totals(dict(zip(names, values, strict=True)))
    assert (found["quality"], found["semantic"]) == pytest.approx(tuple(means))
    assert found["total"] == pytest.approx((4 * means[0] + means[1]) / 5)


def test_the_best_there_is_is_one():
    best = {"motion_smoothness": 0.9975, "scene": 0.8222, "appearance_style": 0.2855, "temporal_style": 0.364,
            "overall_consistency": 0.364}  # fmt: skip
    found = totals({name: best.get(name, 1.0) for name in OF["total"]})
    assert found == pytest.approx({"quality": 1.0, "semantic": 1.0, "total": 1.0})


QUALITY = (
    "subject_consistency", "background_consistency", "temporal_flickering", "motion_smoothness", "dynamic_degree",
    "aesthetic_quality", "imaging_quality",
)  # fmt: skip
SEMANTIC = (
    "object_class", "multiple_objects", "human_action", "color", "spatial_relationship", "scene", "appearance_style",
    "temporal_style", "overall_consistency",
)  # fmt: skip
# rows of the leaderboard as LinGen (Wang et al. 2024, arXiv 2412.09856) prints them, in %: quality's dimensions,
# semantic's, then quality, semantic and total
LEADERBOARD = {
    "T2V-Turbo-v2": """95.50 96.71 97.35 97.07 90.00 62.61 71.78
        95.33 61.49 96.20 92.53 43.32 56.40 24.17 27.06 28.26  85.13 77.12 83.52""",
    "Gen-3": """97.10 96.62 98.61 99.23 60.14 63.34 66.82
        87.81 53.64 96.40 80.90 65.09 54.57 24.31 24.71 26.69  84.11 75.17 82.32""",
    "LaVie-2": """97.90 98.45 98.76 98.42 31.11 67.62 70.39
        97.52 64.88 96.40 91.65 38.68 49.59 25.09 25.24 27.39  83.24 75.76 81.75""",
    "Pika-1.0": """96.94 97.36 99.74 99.50 47.50 62.04 61.87
        88.72 43.08 86.20 90.57 61.03 49.83 22.26 24.22 25.94  82.92 71.77 80.69""",
    "VideoCrafter-2.0": """96.85 98.22 98.41 97.73 42.50 63.13 67.22
        92.55 40.66 95.00 92.92 35.86 55.29 25.13 25.84 28.23  82.20 73.42 80.44""",
    "OpenSora V1.2": """96.75 97.61 99.53 98.50 42.39 56.85 63.34
        82.22 51.83 91.20 90.08 68.56 42.44 23.95 24.54 26.85  81.35 73.39 79.76""",
}


@pytest.mark.parametrize("model", LEADERBOARD)
def test_rows_of_the_leaderboard(model):
    """All three to a hundredth of a per cent, as far as the digits of the dimensions carry."""
    *values, quality, semantic, total = (float(word) / 100 for word in LEADERBOARD[model].split())
    by_name = dict(zip(QUALITY + SEMANTIC, values, strict=True))
    found = totals(by_name)
    assert found == pytest.approx({"quality": quality, "semantic": semantic, "total": total}, abs=1.3e-4)
