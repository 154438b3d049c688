"""Runs of one protocol compared clip by clip."""

import json

import numpy as np
import pytest
from scipy import stats


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


def test_other_protocols_single_runs_and_equal_names_are_refused(toy, cli, tmp_path):
    assert toy("--ablation", "noise", "--num-videos", 4, "--out", tmp_path / "one").code == 0
    assert toy("--ablation", "noise", "--num-videos", 4, "--frames", 2, "--out", tmp_path / "two").code == 0
    outcome = cli("compare", tmp_path / "one", tmp_path / "two")
    assert outcome.code == 2 and "is by protocol toy@1" in outcome.err and len(outcome.err.splitlines()) == 1
    assert "give at least 2 run folders" in cli("compare", tmp_path / "one").err
    assert "given already" in cli("compare", tmp_path / "one", tmp_path / "one").err
    (tmp_path / "none").mkdir()
    assert cli("compare", tmp_path / "one", tmp_path / "none").code == 2
