"""VBench's own prompts: which clips count for which dimension, and intervals of the totals."""

import json
from pathlib import Path

import numpy as np
import pytest
from artv_vbench import ALL, TOTALS
from artv_vbench.suite import Suite, list_digest
from artv_vbench.suite_metric import SuiteEvaluator, suite
from artv_vbench.totals import ENDS, QUALITY, WEIGHTS

from artv.errors import UserError
from artv_eval.metrics.statistics import bootstrap_interval


@pytest.fixture
def own(stand_in):
    """Makes evaluators of the stand-in's list."""
    digest = list_digest(json.loads(Path(stand_in.__file__).with_name("VBench_full_info.json").read_text("utf-8")))
    return lambda of: suite(of=of, list_digest=digest)


PROMPTS = ["a ball", "a red ball", "A person is waving", "everything else", "of no list"]


def test_each_clip_counts_for_the_dimensions_of_its_prompt_alone(own, clips):
    rows = own("total").describe(clips(PROMPTS, [51, 204, 0, 102, 153]))
    of = {name: rows[:, ALL.index(name)] for name in ALL}
    nan = np.nan
    np.testing.assert_allclose(of["object_class"], [0.2, nan, nan, nan, nan], atol=0.005)
    np.testing.assert_allclose(of["color"], [nan, 0.8, nan, nan, nan], atol=0.005)
    np.testing.assert_array_equal(of["human_action"], [nan, nan, 1, nan, nan])  # it reads the action from the file
    np.testing.assert_allclose(of["overall_consistency"], [0.2, nan, nan, 0.4, nan], atol=0.005)
    np.testing.assert_allclose(of["imaging_quality"], [nan, nan, nan, 40, nan], atol=0.5)
    assert np.isnan(rows[4, :-1]).all()
    np.testing.assert_array_equal(rows[:, -1], [0, 1, 2, 3, -1])


def test_of_flickering_the_first_five_clips_of_a_prompt_that_stand_still_count(own, clips):
    """Clips that brighten from frame to frame move, as the stand-in's network has it."""
    levels = [np.arange(4) * 60, *range(10, 80, 10), np.arange(4)]
    rows = own("temporal_flickering").describe(clips(["everything else"] * 9, levels))
    column, moves = ALL.index("temporal_flickering"), [True, *[False] * 7, True]
    np.testing.assert_array_equal(np.isnan(rows[:, column]), moves)
    assert not np.isnan(rows[:, ALL.index("motion_smoothness")]).any()
    counted = own("temporal_flickering").per_clip(rows)
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(counted)), [1, 2, 3, 4, 5])
    assert own("temporal_flickering").evaluate(rows) == pytest.approx(30 / 255, abs=0.005)
    long = own("temporal_flickering").describe(clips(["everything else"], [np.arange(6) * 40], 6, fps=1.0))
    assert not np.isnan(long[0, column]) and long[0, -1] == -1  # VBench-Long does not filter


def test_a_clip_in_which_color_finds_no_object_has_no_value_alone_or_beside_others(own, clips):
    for levels, want in (([25], [np.nan]), ([25, 204], [np.nan, 0.8])):
        rows = own("color").describe(clips(["a red ball"] * len(levels), levels))
        np.testing.assert_allclose(rows[:, ALL.index("color")], want, atol=0.005)


def test_all_scores_share_their_rows_and_a_dimension_is_its_column(own):
    scores = [own(of) for of in (*TOTALS, *ALL)]
    assert len({score.digest for score in scores}) == 1 and len({score.name for score in scores}) == 19
    rows = np.full((3, 17), np.nan)
    rows[:2, ALL.index("imaging_quality")] = 40, 60
    quality = own("imaging_quality")
    assert quality.evaluate(rows) == pytest.approx(0.5) and quality.resample(rows, None, np.array([[0, 2]])) == [0.4]
    np.testing.assert_allclose(quality.per_clip(rows), [0.4, 0.6, np.nan])


def test_what_the_clips_do_not_have_is_said(own):
    rows = np.full((4, 17), np.nan)
    rows[:, 0] = 1.0
    with pytest.raises(UserError, match=r"none of 4 clips has a prompt that VBench's list has for color"):
        own("color").per_clip(rows)
    with pytest.raises(
        UserError, match=r"all 16 dimensions; no clip has a prompt for background_consistency, temporal"
    ):
        own("total").evaluate(rows)
    with pytest.raises(UserError, match=r"vbench-suite is of 'colour'"):
        own("colour")


def test_the_interval_of_a_total_is_that_of_a_sum_of_means(own):
    """Each of 30 prompts a dimension has two clips that share what is the prompt's: the error is over prompts."""
    rng, prompts = np.random.default_rng(0), 30
    common = rng.normal(0.6, 0.1, size=(16, prompts))
    rows = np.full((16 * prompts * 2, 17), np.nan)
    rows[:, -1] = np.arange(len(rows)) // 2
    rows[np.arange(len(rows)), np.arange(len(rows)) // (2 * prompts)] = common.ravel().repeat(2)
    rows[:, ALL.index("imaging_quality")] *= 100
    total: SuiteEvaluator = own("total")
    found = bootstrap_interval(total, rows, groups=list(np.arange(len(rows)) // 2), resamples=600)
    share = [
        (0.8 / 6.5 * WEIGHTS.get(name, 1) if name in QUALITY else 0.2 / 9)
        / (np.subtract(*ENDS.get(name, (0, 1))[::-1]))
        for name in ALL
    ]
    error = np.sqrt(sum(s**2 * values.var(ddof=1) / prompts for s, values in zip(share, common, strict=True)))
    assert found.prompts == 16 * prompts and found.standard_error == pytest.approx(error, rel=0.15)
    assert found.low < found.value < found.high and found.value == pytest.approx(total.evaluate(rows))


def test_too_few_clips_for_an_interval_are_said_and_no_number_is_made_up(own):
    rows = np.full((32, 17), np.nan)
    rows[np.arange(32), np.arange(32) % 16] = 0.5  # two clips a dimension: a half can lack one
    assert np.isfinite(own("total").evaluate(rows))
    with pytest.raises(
        UserError, match="too few clips for an interval: half of them can be without subject_consistency"
    ):
        bootstrap_interval(own("total"), rows, resamples=40)


def test_another_list_is_refused_unless_it_is_meant(tmp_path):
    file = tmp_path / "list.json"
    items = [{"prompt_en": "a  ball", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}},
             {"prompt_en": "a ball", "dimension": ["scene"]}]  # fmt: skip
    file.write_text(json.dumps(items), encoding="utf-8")
    with pytest.raises(UserError, match=r"has digest [0-9a-f]{12} and VBench's list 7b86de3b6fb0"):
        Suite.read(file)
    found = Suite.read(file, list_digest(items))
    assert found.of(" a ball ").dimensions == ("color", "scene") and found.of("a ball").auxiliary["color"]
    assert found.of("a dog").dimensions == ()
    file.write_text(json.dumps(items, indent=3), encoding="utf-8")
    assert Suite.read(file, list_digest(items)).digest == found.digest  # however it is laid out


@pytest.mark.parametrize("text", ["no json", "[1]", '[{"prompt_en": "x"}]', '{"a": 1}'])
def test_what_is_no_list_is_said(tmp_path, text):
    (tmp_path / "list.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"list\.json is no list of VBench"):
        Suite.read(tmp_path / "list.json")
