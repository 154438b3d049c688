"""What the sentences say in constructed cases: right, and never stronger than the numbers."""

import numpy as np
import pytest
from made import pair, results, row
from scipy import stats

from artv_eval.report.findings import findings_of, plain, smallest_seen
from artv_eval.report.markdown import markdown

NOTHING = "mask: no metric tells mask=on from mask=off."
FVD = "mask: fvd 18.0 with mask=on and 28.0 with mask=off: -10.0 [-11.0, -9.0] (better)"


def text(*found):
    return [finding.text for finding in findings_of(results(*found))]


def two(metric, a, b, **other):
    return [row("mask=on", metric, a, **other), row("mask=off", metric, b, **other)]


def test_a_clear_result_over_trainings():
    rows = two("fvd", 18.6, 26.4, n=512, seeds=4) + two("clipsim", 0.499, 0.495, better=True, n=512, seeds=4)
    pairs = [
        pair("fvd", -7.8, 3.2, p=0.005, n=512, seeds=4, about="method"),
        pair("clipsim", 0.004, 0.02, n=512, seeds=4, about="method"),
    ]
    (said,) = text(rows, pairs)
    # of two tests Holm's first takes 0.025; four pairs of trainings leave 3 degrees of freedom: 4.177 is the limit, and
    # the noncentral t of 5.43 is beyond it in 80 % of cases: 5.43 × 0.01
    assert said == (
        "mask: fvd 18.6 with mask=on and 26.4 with mask=off: -7.8 [-11.0, -4.6] (better), 4 trainings × 512 clips, "
        "p = 0.005. Not told apart at this size: clipsim (a difference of 0.054 would have been)."
    )


def test_nothing_found_says_what_would_have_been():
    (said,) = text(two("fvd", 50.0, 50.5), [pair("fvd", -0.5, 3.0, error=1.5)])
    # 4 of 5 such tests find it: the noncentral t's power at that size is 0.8
    size = smallest_seen(pair("fvd", -0.5, 3.0, error=1.5))
    limit = stats.t.ppf(0.975, 19)
    power = 1 - stats.nct.cdf(limit, 19, size / 1.5)
    assert power == pytest.approx(0.8, abs=0.001)
    assert said == (
        f"mask: no metric tells mask=on from mask=off. Not told apart at this size: fvd (a difference of {size:.1f} "
        "would have been)."
    )


@pytest.mark.parametrize(("n", "seeds", "tests"), [(30, None, 1), (512, 2, 1), (512, 4, 2), (512, 4, 17)])
def test_the_smallest_difference_seen_is_that_of_a_simulation(n, seeds, tests):
    rng, many, error = np.random.default_rng(0), seeds or n, 0.2
    size = smallest_seen(pair("drift", 0.0, 1.0, n=n, seeds=seeds, error=error), tests)
    draws = rng.normal(size, error * np.sqrt(many), (20_000, many))
    found = np.abs(draws.mean(1) / (draws.std(1, ddof=1) / np.sqrt(many))) > stats.t.ppf(1 - 0.025 / tests, many - 1)
    assert found.mean() == pytest.approx(0.8, abs=0.015)


def test_too_few_pairs_can_find_nothing():
    (said,) = text(two("drift", 0.1, 0.9, n=4), [pair("drift", -0.8, 0.3, p=0.125, n=4)])
    assert said == NOTHING + " Not told apart at this size: drift (no difference could have been at n = 4)."


def test_one_training_speaks_of_its_checkpoints():
    (finding,) = findings_of(results(two("fvd", 18.0, 28.0), [pair("fvd", -10.0, 1.0, seeds=1, about="checkpoints")]))
    assert finding.text == (
        "mask (these checkpoints): fvd 18.0 with mask=on and 28.0 with mask=off: -10.0 [-11.0, -9.0] (better), "
        "1 training × 20 clips, p = 0.001."
    )
    assert finding.about == "checkpoints" and finding.apart == ("fvd",)


def test_metrics_that_contradict_each_other_are_said_to():
    rows = two("fvd", 18.0, 28.0) + two("caption", 0.5, 0.9, better=True)
    (said,) = text(rows, [pair("fvd", -10.0, 1.0), pair("caption", -0.4, 0.1)])
    assert said == (
        f"{FVD}, 20 clips, p = 0.001; caption 0.50 with mask=on and 0.90 with mask=off: -0.40 [-0.50, -0.30] (worse), "
        "20 clips, p = 0.001. The metrics contradict each other."
    )


def test_a_negative_result_is_a_result():
    (said,) = text(two("fvd", 28.0, 18.0), [pair("fvd", 10.0, 1.0)])
    assert said == (
        "mask: fvd 28.0 with mask=on and 18.0 with mask=off: +10.0 [9.0, 11.0] (worse), 20 clips, p = 0.001."
    )


def test_a_small_p_with_an_interval_across_zero_finds_nothing():
    (said,) = text(two("fvd", 18.0, 18.5), [pair("fvd", -0.5, 0.6, p=0.03)])
    assert said.startswith(NOTHING) and "(worse)" not in said and "(better)" not in said


def test_a_failed_cell_is_named_and_nothing_is_claimed_of_it():
    rows = [row("mask=on", "fvd", 18.0), row("mask=off", "fvd", None, status="failed: out of memory")]
    (said,) = text(rows)
    assert said == "mask: mask=off has no value: failed: out of memory."


def test_each_difference_has_its_own_n():
    rows = two("fvd", 18.0, 28.0) + two("drift", 0.1, 0.4)
    (said,) = text(rows, [pair("fvd", -10.0, 1.0, n=20), pair("drift", -0.3, 0.1, n=17)])
    assert said == (
        f"{FVD}, 20 clips, p = 0.001; drift 0.10 with mask=on and 0.40 with mask=off: -0.30 [-0.40, -0.20] (better), "
        "17 clips, p = 0.001."
    )


def test_a_withheld_metric_is_named():
    rows = two("fvd", 18.0, 28.0) + two("kvd", None, None, status="withheld: 3 of 10 files cannot be read")
    (said,) = text(rows, [pair("fvd", -10.0, 1.0)])
    assert said == f"{FVD}, 20 clips, p = 0.001. No value of kvd: withheld, as said below."


def test_one_cell_is_compared_with_nothing():
    (said,) = text([row("mask=on", "fvd", 18.0), row("real", "fvd", 2.0, sanity=True)])
    assert said == "mask: one cell only, mask=on, so nothing is compared: fvd 18.00 [17.90, 18.10]."


def test_two_ablations_have_a_finding_each():
    rows = [*two("fvd", 18.0, 28.0), row("eta=1", "fvd", 1.0, ablation="eta"), row("eta=0", "fvd", 2.0, ablation="eta")]
    pairs = [pair("fvd", -10.0, 1.0), pair("fvd", -1.0, 0.2, ablation="eta", a="eta=1", b="eta=0")]
    first, second = text(rows, pairs)
    assert first == f"{FVD}, 20 clips, p = 0.001."
    assert second == "eta: fvd 1.00 with eta=1 and 2.00 with eta=0: -1.00 [-1.20, -0.80] (better), 20 clips, p = 0.001."


def test_equal_values_are_said_to_be_equal():
    (said,) = text(two("drift", 0.1, 0.1), [pair("drift", 0.0, 0.0, p=1.0)])
    assert said == NOTHING + " Not told apart at this size: drift (the same values)."


def test_several_cells_are_told_against_the_first():
    cells = {"steps=8": 8.0, "steps=4": 9.0, "steps=2": 20.0}
    rows = [row(cell, "fvd", value, ablation="steps") for cell, value in cells.items()]
    common = {"ablation": "steps", "a": "steps=8"}
    (said,) = text(
        rows, [pair("fvd", -1.0, 2.0, b="steps=4", **common), pair("fvd", -12.0, 2.0, b="steps=2", **common)]
    )
    assert said.startswith("steps: against steps=8, fvd tells apart steps=2 (+12.0 [10.0, 14.0] (worse), 20 clips")
    assert "Not told apart at this size: fvd (steps=4) (a difference of" in said


def test_lengths_of_training_are_each_told_against_their_own_first():
    cells = {"mask=on @4": 18.0, "mask=off @4": 26.0, "mask=on @8": 10.0, "mask=off @8": 10.5}
    pairs = [
        pair("fvd", -8.0, 2.0, a="mask=on @4", b="mask=off @4"),
        pair("fvd", -0.5, 2.0, a="mask=on @8", b="mask=off @8"),
    ]
    (said,) = text([row(cell, "fvd", value) for cell, value in cells.items()], pairs)
    assert said.startswith(
        "mask: against mask=on @4, fvd tells apart mask=off @4 (+8.0 [6.0, 10.0] (worse), 20 clips, p ="
    )
    _, later = said.split(" Against mask=on @8, ")
    assert later.startswith("no metric tells any cell apart. Not told apart at this size: fvd (a difference of")


def test_findings_are_plain_in_json():
    (found,) = plain(findings_of(results(two("fvd", 18.0, 28.0), [pair("fvd", -10.0, 1.0)])))
    assert found["ablation"] == "mask" and found["apart"] == ["fvd"] and found["alike"] == []


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        ([pair("fvd", 1, 3, about="checkpoints")], ["several trainings a side", "80 clips a cell"]),
        ([pair("fvd", 5, 3, about="checkpoints")], ["several trainings a side"]),
        ([pair("fvd", 1, 3)], ["80 clips a cell"]),
        ([pair("fvd", 1, 3, n=200, prompts=50)], ["200 prompts of 4 clips a cell"]),
        ([pair("fvd", 1, 3, n=32, prompts=4)], ["at least 6 prompts of 8 clips a cell"]),
        ([pair("fvd", 1, 3, n=4)], ["at least 6 clips"]),
        ([pair("fvd", 1, 3, about="method", seeds=4)], ["artv-eval power RUN"]),
        ([pair("fvd", 5, 3, about="method", seeds=4)], []),
        ([], []),
    ],
)
def test_it_says_what_it_takes_to_know_more(pairs, wanted):
    rows = [row("mask=on", "fvd", 10), row("mask=off", "fvd", 11)]
    (finding,) = findings_of(results(rows, pairs))
    assert all(part in finding.more for part in wanted) and bool(finding.more) is bool(wanted)


def test_what_several_metrics_lack_is_said_once():
    lost = [r for name in ("kvd", "fvd_infinity") for r in two(name, None, None, status="absent: no weights")]
    found = results(two("fvd", 18.0, 28.0) + lost, [pair("fvd", -10.0, 1.0)])
    (said,) = findings_of(found)
    assert said.text.endswith("No value of kvd, fvd_infinity: absent, as said below.")
    shown = markdown()(found)
    assert shown.count("no weights") == 1 and r"(kvd, fvd\_infinity): absent: no weights" in shown
