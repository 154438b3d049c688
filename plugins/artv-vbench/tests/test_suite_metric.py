"""VBench's own prompts: which clips count for which dimension, and intervals of the totals."""

import json
from pathlib import Path

import numpy as np
import pytest
from artv_vbench import ALL, TOTALS
from artv_vbench.inside.bench import Bench
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
    moves = [True, *[False] * 7, True]
    np.testing.assert_array_equal(np.isnan(rows[:, 0]), moves)
    assert not np.isnan(own("motion_smoothness").describe(clips(["everything else"] * 9, levels))).any()
    counted = own("temporal_flickering").per_clip(rows)
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(counted)), [1, 2, 3, 4, 5])
    assert own("temporal_flickering").evaluate(rows) == pytest.approx(30 / 255, abs=0.005)
    long = own("temporal_flickering").describe(clips(["everything else"], [np.arange(6) * 40], 6, fps=1.0))
    assert not np.isnan(long[0, 0]) and long[0, -1] == -1  # VBench-Long does not filter


def test_a_clip_in_which_color_finds_no_object_has_no_value_alone_or_beside_others(own, clips):
    for levels, want in (([25], [np.nan]), ([25, 204], [np.nan, 0.8])):
        rows = own("color").describe(clips(["a red ball"] * len(levels), levels))
        np.testing.assert_allclose(rows[:, 0], want, atol=0.005)


def test_only_the_networks_of_what_is_asked_are_needed_and_in_the_digest(own, cache):
    before = {of: own(of).digest for of in (*TOTALS, *ALL)}
    assert len(set(before.values())) == 19
    (cache / "nets/color.pth").write_bytes(b"other weights")
    changed = {of for of, digest in before.items() if own(of).digest != digest}
    assert changed == {"total", "semantic", "color"}
    for file in cache.glob("nets/*.pth"):
        if file.stem not in ("imaging_quality", "dynamic_degree"):
            file.unlink()
    assert own("imaging_quality").digest == before["imaging_quality"]
    assert own("temporal_flickering").digest == before["temporal_flickering"]  # its filter has dynamic_degree's
    for of in ("total", "quality", "semantic", "scene"):
        with pytest.raises(UserError, match="lacks a network for"):
            own(of)
    (cache / "nets/dynamic_degree.pth").unlink()
    with pytest.raises(UserError, match="lacks a network for dynamic_degree"):
        own("temporal_flickering")


def test_a_score_of_a_clip_is_asked_for_once_however_many_metrics_read_it(own, clips, monkeypatch):
    asked, shown = [], clips(PROMPTS, [51, 204, 0, 102, 153])
    score = Bench.score
    monkeypatch.setattr(Bench, "score", lambda *given: asked.append(given[1]) or score(*given))
    rows = own("total").describe(shown)
    assert sorted(asked) == sorted(ALL)
    for of in ALL:
        np.testing.assert_array_equal(own(of).describe(shown), rows[:, [ALL.index(of), -1]])
    assert len(asked) == 16
    own("color").describe(clips(PROMPTS, [51, 203, 0, 102, 153]))  # another clip
    assert asked[16:] == ["color"]


def test_a_dimension_is_its_column_on_the_scale_of_the_totals(own):
    quality, rows = own("imaging_quality"), np.array([[40, 3], [60, 3], [np.nan, 3]])
    assert quality.evaluate(rows) == pytest.approx(0.5) and quality.resample(rows, None, np.array([[0, 2]])) == [0.4]
    np.testing.assert_allclose(quality.per_clip(rows), [0.4, 0.6, np.nan])


def test_what_the_clips_do_not_have_is_said(own):
    for of, why in (("scene", "for it$"), ("color", "finds the object of the prompt in none"),
                    ("temporal_flickering", "stands still")):  # fmt: skip
        with pytest.raises(UserError, match=rf"no score for {of} of any of these 4 clips: none has a prompt .*{why}"):
            own(of).per_clip(np.full((4, 2), np.nan))
    rows = np.full((4, 17), np.nan)
    rows[:, 0] = 1.0
    with pytest.raises(UserError, match=r"total is of 16 dimensions; no clip has a score for background_consistency, "):
        own("total").evaluate(rows)
    with pytest.raises(UserError, match=r"semantic is of 9 dimensions; no clip has a score for multiple_objects, "):
        own("semantic").evaluate(rows[:, :10])
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
