"""Runs of one protocol compared clip by clip."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

TOY = Path(__file__).parents[1] / "toy"


def values(run, cell, metric="brightness"):
    lines = (run / "per_clip.csv").read_text(encoding="utf-8").splitlines()[1:]
    parts = [line.split(",") for line in lines]
    return np.array([float(value) for _, name, its, _, value, _ in parts if (name, its) == (cell, metric)])


def test_differences_across_runs_are_those_of_their_clips(toy, cli, tmp_path):
    assert toy("--ablation", "noise", "--num-videos", 8, "--out", tmp_path / "one").code == 0
    assert toy("--ablation", "noise", "--num-videos", 8, "--out", tmp_path / "two").code == 0
    outcome = cli("compare", tmp_path / "one", tmp_path / "two", "--format", "json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    pairs = {(pair["a"], pair["b"], pair["metric"]): pair for pair in document["comparisons"]}
    same = pairs["one: noise=little", "two: noise=little", "brightness"]
    assert same["difference"] == 0 and same["p_value"] == 1 and same["n"] == 8
    other = pairs["one: noise=little", "two: noise=much", "brightness"]
    wanted = values(tmp_path / "one", "noise=little") - values(tmp_path / "two", "noise=much")
    assert other["difference"] == pytest.approx(wanted.mean())
    assert other["standard_error"] == pytest.approx(stats.sem(wanted))
    assert not any("real" in name for pair in pairs for name in pair[:2])
    assert {row["cell"] for row in document["rows"]} >= {"one: noise=little", "two: noise=much"}


SAME = ("difference", "ci_low", "ci_high", "p_value", "standard_error", "n", "seeds", "about")


def both(cli, tmp_path, sweep, *arguments):
    """The first difference within a run, and those of the run to a copy of it, by metric."""
    assert sweep(*arguments, "--out", tmp_path / "one").code == 0
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    within = {p["metric"]: p for p in json.loads((tmp_path / "one" / "results.json").read_text("utf-8"))["comparisons"]}
    return within, lambda: json.loads(
        cli("compare", "--plugins-dir", TOY, tmp_path / "one", tmp_path / "two", "--format", "json").out
    )


def to(document, cell):
    return {pair["metric"]: pair for pair in document["comparisons"] if pair["b"] == f"two: {cell}"}


def test_a_metric_of_the_set_is_paired_by_kept_rows_or_unpaired_and_said_so(toy, cli, tmp_path):
    within, compare = both(cli, tmp_path, toy, "--ablation", "noise", "--num-videos", 8)
    document = compare()
    for metric in ("brightness", "distance"):  # what the sweep itself found of the same clips
        found = to(document, "noise=much")[metric]
        assert [found[name] for name in SAME[:6]] == pytest.approx([within[metric][name] for name in SAME[:6]])
    assert not [note for note in document["notes"] if "unpaired" in note]
    shutil.rmtree(tmp_path / "two" / "features")
    document = compare()
    assert document["notes"][0].startswith("distance: compared across runs unpaired, from the two intervals")
    found = to(document, "noise=much")["distance"]
    rows = {row["cell"]: row for row in document["rows"] if row["metric"] == "distance"}
    a, b = rows["one: noise=little"], rows["two: noise=much"]
    reach = np.hypot(a["value"] - a["ci_low"], b["ci_high"] - b["value"])  # Zou and Donner 2008
    assert found["difference"] == pytest.approx(within["distance"]["difference"])
    assert found["ci_low"] == pytest.approx(found["difference"] - reach)
    assert to(document, "noise=much")["brightness"]["p_value"] == pytest.approx(within["brightness"]["p_value"])


def test_trainings_of_one_seed_are_paired_across_runs(toy, cli, tmp_path):
    within, compare = both(
        cli, tmp_path, toy, "--ablation", "learning", "--train", "--train-seeds", 3, "--num-videos", 6
    )
    (pair,) = (within[metric] for metric in ["brightness"])
    found = to(compare(), pair["b"])["brightness"]
    assert [found[name] for name in SAME[:6]] == pytest.approx([pair[name] for name in SAME[:6]])
    assert (found["seeds"], found["about"]) == (pair["seeds"], pair["about"]) == (3, "method")


def test_rows_of_other_clips_are_not_taken_for_these(toy, cli, tmp_path):
    _, compare = both(cli, tmp_path, toy, "--ablation", "noise", "--num-videos", 8)
    results = tmp_path / "two" / "results.json"
    document = json.loads(results.read_text("utf-8"))
    document.pop("sha256")
    for row in document["rows"]:
        row["value"] = row["value"] * 1.5 if row["metric"] == "distance" else row["value"]
    results.write_text(json.dumps(document), "utf-8")
    assert "distance: compared across runs unpaired" in compare()["notes"][0]


def test_other_protocols_single_runs_and_equal_names_are_refused(toy, cli, tmp_path):
    assert toy("--ablation", "noise", "--num-videos", 4, "--out", tmp_path / "one").code == 0
    assert toy("--ablation", "noise", "--num-videos", 4, "--frames", 2, "--out", tmp_path / "two").code == 0
    outcome = cli("compare", tmp_path / "one", tmp_path / "two")
    assert outcome.code == 2 and "is by protocol toy@1" in outcome.err and len(outcome.err.splitlines()) == 1
    assert "give at least 2 run folders" in cli("compare", tmp_path / "one").err
    assert "given already" in cli("compare", tmp_path / "one", tmp_path / "one").err
    (tmp_path / "none").mkdir()
    assert cli("compare", tmp_path / "one", tmp_path / "none").code == 2
