"""Totals against the formula with VBench's table typed in again."""

import numpy as np
import pytest
from artv_vbench import ALL
from artv_vbench.totals import totals

# scripts/constant.py: name, lowest, highest, weight, and q or s
TABLE = """
subject_consistency .1462 1 1 q, background_consistency .2615 1 1 q, temporal_flickering .6293 1 1 q,
motion_smoothness .706 .9975 1 q, dynamic_degree 0 1 .5 q, aesthetic_quality 0 1 1 q, imaging_quality 0 1 1 q,
object_class 0 1 1 s, multiple_objects 0 1 1 s, human_action 0 1 1 s, color 0 1 1 s, spatial_relationship 0 1 1 s,
scene 0 .8222 1 s, appearance_style .0009 .2855 1 s, temporal_style 0 .364 1 s, overall_consistency 0 .364 1 s
"""


@pytest.mark.parametrize("seed", range(3))
def test_the_published_formula(seed):
    lines = [line.split() for line in TABLE.replace("\n", " ").split(",")]
    names, low, high, weight = [line[0] for line in lines], *np.array([line[1:4] for line in lines], float).T
    quality = np.array([line[4] == "q" for line in lines])
    values = np.random.default_rng(seed).random(16)
    scaled = (values - low) / (high - low) * weight
    means = [scaled[part].sum() / weight[part].sum() for part in (quality, ~quality)]
    found = totals(np.array([values[names.index(name)] for name in ALL]))
    assert (found["quality"], found["semantic"]) == pytest.approx(tuple(means))
    assert found["total"] == pytest.approx((4 * means[0] + means[1]) / 5)


def test_the_best_there_is_is_one():
    best = {"motion_smoothness": 0.9975, "scene": 0.8222, "appearance_style": 0.2855, "temporal_style": 0.364,
            "overall_consistency": 0.364}  # fmt: skip
    assert totals(np.array([best.get(name, 1.0) for name in ALL])) == pytest.approx(
        {"quality": 1.0, "semantic": 1.0, "total": 1.0}
    )
