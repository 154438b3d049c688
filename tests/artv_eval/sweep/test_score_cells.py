"""A value is finite or has a reason, whatever a metric does; a reason that is a failure is an exit code."""

import json
from pathlib import Path

import numpy as np
import pytest

from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.results.rows import Results, Row
from artv_eval.sweep.over_seeds import Replicates
from artv_eval.sweep.plan import Cell, ProtocolRef
from artv_eval.sweep.score_cells import Metric, Scored
from artv_eval.sweep.summaries import row_of

ROW = {
    "ablation": None, "cell": "c", "method": "m", "metric": "x", "ci_low": 0.0, "ci_high": 1.0, "n": 3, "protocol": "p"
}  # fmt: skip


class Features:
    """Stands for an extractor; statistics need its names only."""

    name, digest, dim = "features", "0", 4


def test_metrics_of_one_component_are_told_apart():
    assert Metric(name="curve", evaluator=type("E", (), {"name": "motion/level"})()).title == "motion/level"
    assert Metric(name="fvd", status="not installed").title == "fvd"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nan", "failed: the value is nan; it must be a finite number"),
        ("inf", "failed: the value is inf"),
        ("nan rows", "failed: the value is nan"),
        ("text", "failed: ValueError: could not convert string to float"),
        ("none", "failed: TypeError"),
        ("array", "failed: TypeError"),
        ("complex", "failed: TypeError"),
        ("text rows", "failed: ValueError: describe() gave rows of <U"),
        ("flat rows", "failed: ValueError: describe() of 6 clips gave (6,); it must be (n, d)"),
        ("a clip's", "failed: ValueError: could not convert string to float"),
        ("too few", "failed: ValueError: per_clip() of 6 clips gave (5,); it must be (6,)"),
        ("package", "ModuleNotFoundError: No module named 'a_package_that_nobody_has'"),
    ],
)
def test_a_metric_that_gives_rubbish_is_an_error_and_an_exit_code(toy, what, words):
    outcome = toy(
        "--ablation", "noise", "--metrics", "rubbish,brightness", "--format", "json", "--set", f"rubbish.what={what}"
    )
    rows = json.loads(outcome.out)["rows"]
    found = [row for row in rows if row["metric"] == "rubbish"]
    assert outcome.code == 1 and "Traceback" not in outcome.err and len(found) == 5
    assert all(row["value"] is None and words in row["status"] for row in found), found[0]
    assert all(row["status"] == "ok" and np.isfinite(row["value"]) for row in rows if row["metric"] == "brightness")
    assert not [pair for pair in json.loads(outcome.out)["comparisons"] if pair["metric"] == "rubbish"]


def test_a_sweep_without_any_value_is_no_success(toy):
    outcome = toy("--ablation", "noise", "--metrics", "needs-mask")
    assert outcome.code == 1 and "no metric has a value: " in outcome.err.splitlines()[-1]


@pytest.mark.parametrize("value", [None, float("nan"), float("-inf"), "3", np.zeros(2)])
def test_no_row_is_ok_without_a_finite_value(value):
    row = Row(**ROW, value=value)
    assert row.value is None and row.ci_low is None and row.status.startswith("failed: the value is ")
    assert Row(**ROW, value=0.0).status == "ok" and Row(**ROW, value=np.float64(2)).status == "ok"
    assert Row(**ROW, value=None, status="absent: why").status == "absent: why"


def test_one_row_of_nan_fails_kvd_also_in_results_of_before():
    rows = np.random.default_rng(0).normal(size=(6, 4))
    rows[2, 1] = np.nan
    cell = Cell(ablation="a", name="c", label="m", protocol=ProtocolRef(name="p", hash="0"))
    scored = Scored(cell=cell, evaluator=KvdEvaluator(Features()), rows=rows, reference=rows[:2], positions=range(6))
    row = row_of(Replicates(items=[scored]), "p", "0")
    assert row.status == "failed: the value is nan; it must be a finite number" and row.n == 6
    old = {"run": None, "rows": [{**ROW, "value": None, "status": "ok"}], "comparisons": []}
    assert Results.from_dict(old).rows[0].status.startswith("failed: the value is None")


def test_files_are_held_to_the_same(cli, sides, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    toy = Path(__file__).parents[1] / "toy"
    arguments = ("--plugins-dir", toy, "--fake", sides[1], "--frames", 4, "--workers", 0, "--format", "json")
    for what in ("nan", "text rows", "package"):
        outcome = cli("score", *arguments, "--metrics", "rubbish,brightness", "--set", f"rubbish.what={what}")
        rows = {row["metric"]: row for row in json.loads(outcome.out)["rows"]}
        assert outcome.code == 1 and rows["rubbish"]["status"].startswith("failed: ") and "Traceback" not in outcome.err
        assert rows["brightness"]["status"] == "ok"


@pytest.mark.parametrize(("videos", "marked"), [(8, True), (20, False)])
def test_p_values_of_few_pairs_stand_with_their_caveat(toy, cli, videos, marked):
    """A caveat stands by differences clip by clip, everywhere; a metric of the whole set has none."""
    run = ("--ablation", "noise", "--out", "run", "--num-videos", videos)
    found = json.loads(toy(*run, "--format", "json").out)
    (mean,) = [pair for pair in found["comparisons"] if pair["metric"] == "brightness"]
    assert bool(mean["caveat"]) == marked and isinstance(mean["skewness"], float)
    assert [pair["caveat"] for pair in found["comparisons"] if pair["metric"] == "distance"] == [None]
    for form in ("table", "long", "markdown"):
        text = cli("report", "run", "--format", form).out
        lines = [line for line in text.splitlines() if "† brightness: p" in line]
        assert len(lines) == marked and ("†" in text) == marked
    assert ("†" in Path("run/report.html").read_text(encoding="utf-8")) == marked


def test_fvd_of_the_first_prompts_is_fvd_of_a_run_of_those(toy):
    """VideoPoet's is of 40,960 captions of 59,794: a shorter run gives the right value."""
    run = (
        "--ablation",
        "noise",
        "--protocol",
        "shapes@1",
        "--frames",
        4,
        "--metrics",
        "fvd,flicker",
        "--format",
        "json",
    )

    def rows(*more):
        found = json.loads(toy(*run, *more).out)["rows"]
        return {(row["cell"], row["metric"]): (row["n"], row["value"]) for row in found if row["status"] == "ok"}

    short, long = rows("--num-videos", 5, "--out", "short"), rows("--num-videos", 8, "--out", "whole")
    some = rows("--num-videos", 8, "--out", "first", "--set", "fvd.first=5")
    assert {at: n for at, (n, _) in some.items()} == {at: 5 if at[1] == "fvd" else 8 for at in long} and len(some) > 3
    for at, (_, value) in some.items():
        assert value == pytest.approx((short if at[1] == "fvd" else long)[at][1], rel=1e-6)


def test_files_are_not_taken_for_the_first_prompts(cli, sides, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ("--real", sides[0], "--fake", sides[1], "--frames", 4, "--workers", 0, "--protocol", "shapes@1")
    found = cli("score", *arguments, "--metrics", "fvd,flicker", "--set", "fvd.first=2", "--format", "json").out
    status = {row["metric"]: row["status"] for row in json.loads(found)["rows"]}
    assert "first 2 prompts" in status["fvd"] and status["fvd"].startswith("absent: ")
