"""From scored cells to rows, differences and curves: against scipy, and by the requests that clips belong to."""

import numpy as np
import pytest
from made import pair, row
from scipy import stats
from scored import Cost, Mean, Shift, scored, single, trained

from artv.errors import UserError
from artv_eval.sweep.over_seeds import replicates
from artv_eval.sweep.summaries import (
    comparisons_of,
    curves_of,
    flaws_of,
    pairs,
    per_clip_of,
    row_of,
    spreads_of,
)

N = 16


def normal(seed, n=N, d=1):
    return np.random.default_rng(seed).normal(size=(n, d))


class Failing(Mean):
    """Raises what it was given, wherever it is asked."""

    def __init__(self, error):
        self.error = error

    def per_clip(self, rows):
        raise self.error

    def curve(self, rows):
        raise self.error


def test_a_row_is_the_mean_over_clips_with_its_interval():
    values = normal(0, 60)
    found = row_of(single("on", values, failed=2), "toy@1", "abc")
    low, high = stats.t.interval(0.95, 59, values.mean(), stats.sem(values[:, 0]))
    assert found.value == pytest.approx(values.mean()) and (found.n, found.failed) == (60, 2)
    assert (found.ci_low, found.ci_high) == pytest.approx((low, high), abs=0.04)
    assert (found.ablation, found.cell, found.metric, found.protocol_hash) == ("mask", "on", "mean", "abc")
    assert (found.higher_is_better, found.seeds, found.about, found.status) == (True, None, None, "ok")


def test_a_row_over_trainings_has_both_sources_of_chance():
    values = {seed: normal(seed) + seed for seed in (1, 2, 3)}
    found = row_of(trained("on", values, checkpoint="abc"), "toy@1", "abc")
    assert found.value == pytest.approx(np.mean([part.mean() for part in values.values()]))
    assert (found.seeds, found.about) == (3, "method")
    assert found.se_clips == pytest.approx(np.sqrt(np.mean([stats.sem(part[:, 0]) ** 2 for part in values.values()])))


def test_a_row_of_the_set_is_the_metric_of_all_clips():
    rows, reference = normal(1, d=3), normal(2, 40, 3)
    found = row_of(single("on", rows, metric=Shift(), reference=reference), "toy@1", "abc")
    assert found.value == pytest.approx(((rows.mean(0) - reference.mean(0)) ** 2).sum()) and found.n == N


@pytest.mark.parametrize(
    ("group", "status"),
    [
        (single("on", None, status="absent: no mask"), "absent: no mask"),
        (single("on", normal(0, 1)), "absent: 1 clip: an interval or a test needs at least 2 clips"),
        (single("on", normal(0), metric=Failing(UserError("give a FILE"))), "absent: give a FILE"),
        (single("on", normal(0), metric=Failing(KeyError("x"))), "failed: KeyError: 'x'"),
        (single("on", np.full(N, np.nan)), "absent: 0 clips: an interval or a test needs at least 2 clips"),
        (single("on", np.full(N, np.inf)), "failed: the value is inf; it must be a finite number"),
        (single("on", normal(0), metric=Shift()), "absent: metric 'shift' compares with reference clips and got none"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_has_no_value_has_a_reason(group, status):
    found = row_of(group, "toy@1", "abc")
    assert found.status.startswith(status) and found.value is found.ci_low is found.ci_high is None


def test_failed_clips_of_all_trainings_are_counted_once_each():
    group = trained("on", {1: normal(1), 2: normal(2)}, failed=3)
    assert row_of(group, "toy@1", "abc").failed == 6


def test_a_cost_has_no_interval_and_no_test():
    cells = [single(name, normal(k) + 9, metric=Cost()) for k, name in enumerate(("on", "off"))]
    found = row_of(cells[0], "toy@1", "abc")
    assert found.value == pytest.approx((normal(0) + 9).mean()) and found.ci_low is found.ci_high is None
    assert comparisons_of(cells) == ([], [])


def test_values_of_clips_stand_under_the_request_they_belong_to():
    item = scored("on", [0.5, 1.5, np.nan], positions=[0, 2, 3], seeds_per_prompt=2, seed=7)
    (found,) = per_clip_of([item, scored("off", None), scored("on", normal(0), metric=Shift())], [10, 11, 12, 13])
    assert list(found.values) == [10, 12, 13] and found.values[12] == 1.5 and np.isnan(found.values[13])
    assert found.prompts == {10: 0, 12: 1, 13: 1} and found.cell == "on, seed 7"


def test_the_first_cell_that_is_no_sanity_cell_is_compared_with_every_other():
    def cell(name, **other):
        return single(name, None if name == "lost" else normal(0), **other)

    groups = [
        cell("real", sanity=True), cell("lost"), cell("a"), cell("b"), cell("c"),
        cell("x", ablation="steps"), cell("y", ablation="steps"),
        cell("a @10", length=10), cell("b @10", length=10),
        cell("a", metric=Shift()),
    ]  # fmt: skip
    named = [(one.first.cell.name, other.first.cell.name) for one, other in pairs(groups)]
    assert named == [("a", "b"), ("a", "c"), ("x", "y"), ("a @10", "b @10")]


def test_differences_are_over_the_clips_that_both_cells_have():
    a, b = normal(3), normal(4)
    at_a, at_b = [0, 1, 2, 4, 5, 8, 9, 13], [1, 2, 3, 4, 8, 9, 10, 13, 15]
    both = [1, 2, 4, 8, 9, 13]
    (found,), untested = comparisons_of([single("on", a[at_a], positions=at_a), single("off", b[at_b], positions=at_b)])
    wanted = (a - b)[both, 0]
    assert found.difference == pytest.approx(wanted.mean()) and found.n == 6 and untested == []
    assert found.standard_error == pytest.approx(stats.sem(wanted))
    flips = stats.permutation_test((wanted,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found.p_value >= flips.pvalue * (1 - 1e-9)  # the larger of this and Johnson's
    assert found.p_value == found.p_holm == found.p_checkpoints and found.about is None is found.seeds


def test_p_values_are_corrected_over_all_comparisons():
    shift = {"a": 0.0, "b": 0.3, "c": 0.6, "d": 2.0}
    found, _ = comparisons_of([single(name, normal(k) + shift[name]) for k, name in enumerate(shift)])
    p = np.array([item.p_value for item in found])
    order = np.argsort(p)
    wanted = np.empty(3)
    wanted[order] = np.minimum(np.maximum.accumulate(p[order] * [3, 2, 1]), 1)  # Holm 1979
    assert [item.p_holm for item in found] == pytest.approx(wanted) and len(set(p)) == 3


def test_of_two_trainings_those_of_one_seed_are_compared():
    a = trained("on", {2: normal(2)}, checkpoint="x")
    b = trained("off", {1: normal(5), 2: normal(6)}, checkpoint="y")
    (found,), _ = comparisons_of([a, b])
    assert found.difference == pytest.approx((normal(2) - normal(6)).mean())
    assert (found.seeds, found.about) == (1, "checkpoints")


def test_between_methods_the_test_is_of_methods_and_between_checkpoints_of_both():
    on = {seed: np.full(N, value) for seed, value in {1: 1.0, 2: 1.6, 3: 1.1}.items()}
    off = {seed: np.full(N, value) for seed, value in {1: 0.4, 2: 0.1, 3: 0.9}.items()}
    methods = [trained("on", on, checkpoint="x"), trained("off", off, checkpoint="y")]
    (found,), _ = comparisons_of(methods)
    wanted = stats.ttest_rel([1.0, 1.6, 1.1], [0.4, 0.1, 0.9])
    assert (found.about, found.seeds) == ("method", 3) and found.p_value == pytest.approx(wanted.pvalue)
    fixed = single("fixed", np.full(N, 0.5), checkpoint="z")
    (mixed,), _ = comparisons_of([methods[0], fixed])
    assert mixed.about == "checkpoints" and mixed.p_value >= mixed.p_checkpoints
    assert mixed.p_value == pytest.approx(stats.ttest_1samp([0.5, 1.1, 0.6], 0).pvalue)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_cannot_be_compared_is_a_line_and_costs_no_other():
    cells = [single("on", normal(0)), single("off", np.full(N, np.inf)), single("mild", normal(1))]
    found, untested = comparisons_of(cells)
    assert [item.b for item in found] == ["mild"]
    assert len(untested) == 1 and untested[0].startswith("mean: on and off are not compared: failed: ")


def test_cells_without_a_clip_in_common_are_not_compared():
    cells = [single("on", normal(0, 3), positions=[0, 1, 2]), single("off", normal(1, 3), positions=[3, 4, 5])]
    found, (line,) = comparisons_of(cells)
    assert found == [] and line.startswith("mean: on and off are not compared: absent: 0 clips")


def test_a_curve_that_fails_is_a_line_and_the_others_are_there():
    lines = []
    rows = normal(0, d=4)
    groups = [single("on", rows), single("off", rows, metric=Failing(ValueError("no frames"))), single("lost", None)]
    (found,) = curves_of(groups, lines)
    assert np.array(found.values) == pytest.approx(rows.mean(0)) and found.cell == "on"
    assert all(low < value < high for low, value, high in zip(found.low, found.values, found.high, strict=True))
    assert lines == ["mean: off has no curve: failed: ValueError: no frames"]


def test_the_curve_of_a_cell_is_the_mean_over_its_trainings():
    by_seed = {seed: normal(seed, d=3) for seed in (1, 2, 3)}
    groups = replicates([item for item in trained("on", by_seed).items])
    (found,) = curves_of(groups, [])
    means = np.array([rows.mean(0) for rows in by_seed.values()])
    assert np.array(found.values) == pytest.approx(means.mean(0))
    assert np.array(found.low) == pytest.approx(stats.t.interval(0.95, 2, means.mean(0), stats.sem(means))[0])


def test_spreads_of_one_pair_are_one_line():
    both = [
        pair("fvd", 1, 2, sd_trainings=0.25, se_clips=1.04),
        pair("kvd", 1, 2, sd_trainings=3.0, se_clips=0.5),
        pair("psnr", 1, 2, sd_trainings=0.0, se_clips=None),
    ]
    (line,) = spreads_of(both)
    assert line.startswith("mask: mask=on − mask=off varies between trainings (standard deviation)")
    assert line.endswith("fvd ± 0.25 and ± 1, kvd ± 3 and ± 0.5") and spreads_of(both[2:]) == []


def sanity(method, value, spread, **other):
    made = row(method, "fvd", value, spread=spread, **other)
    return type(made)(**{**vars(made), "method": method, "sanity": True})


@pytest.mark.parametrize(
    ("value", "spread", "seen"),
    [(3.0, 0.5, True), (3.0, 1.0, False), (1.4, 0.5, False), (-3.0, 0.5, True)],  # 3 − 1 touches 1 + 1
)
def test_a_flaw_is_seen_where_intervals_are_apart(value, spread, seen):
    found = flaws_of([row("on", "fvd", 1.0, spread=1.0), sanity("copy-first", value, spread)])
    assert [(flaw.metric, flaw.flaw, flaw.other, flaw.seen) for flaw in found] == [("fvd", "copy-first", "on", seen)]
    answer = "yes (intervals do not overlap)" if seen else "no (intervals overlap at n = 20)"
    assert found[0].text == f"fvd separates copy-first (no motion) from on: {answer}"


def test_flaws_are_told_from_the_real_clips_and_the_first_model_of_the_ablation():
    rows = [
        row("on", "fvd", 5.0), row("off", "fvd", 9.0), sanity("real", 1.0, 0.1), sanity("wrong-prompt", 5.0, 0.1),
        sanity("copy-first", None, 0.1, status="absent: x"), row("else", "fvd", 5.0, ablation="steps"),
    ]  # fmt: skip
    found = {flaw.other: flaw.seen for flaw in flaws_of(rows)}
    assert found == {"real": True, "on": False}
