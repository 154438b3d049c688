"""Scoring a sweep: each clip read once, each set measured once, and what is there kept when it is stopped."""

import json
from pathlib import Path

import pytest

from artv_eval.metrics import statistics, training_seeds
from artv_eval.results.store import RunStore
from artv_eval.sweep import describe, score

NOISE = ("--ablation", "noise", "--out", "run", "--format", "json")


@pytest.fixture
def counted(monkeypatch):
    """Counts calls of what is to happen once."""
    found = []

    def count(owner, name):
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, **named: found.append(name) or real(*given, **named))

    count(RunStore, "load_clip")
    for owner in (statistics, training_seeds, describe):
        count(owner, "set_value")
    return found


def test_a_clip_is_read_once_and_a_set_measured_once(toy, counted):
    toy(
        "--ablation", "learning", "--train", "--train-seeds", 2, "--metrics", "brightness,distance", "--out", "run",
        "--format", "json",
    )  # fmt: skip
    # five cells of 6 clips; the first clip of each also says what metrics may ask for. Previews come from elsewhere
    assert counted[: counted.index("set_value")].count("load_clip") == 5 + 5 * 6
    assert counted.count("set_value") == 5


def test_stopped_it_shows_and_keeps_what_is_there(toy, cli, monkeypatch):
    whole = json.loads(toy(*NOISE).out)
    Path("run/results.json").unlink()
    for rows in list(Path("run/features").glob("*/*.npz")):
        rows.unlink()
    monkeypatch.setattr(score, "PARTS", 0.0)
    monkeypatch.setattr(score, "SHARE", 1e9)
    calls, real = iter(range(100)), describe.described

    def stop(evaluator, clips):
        if next(calls) == 6:  # two metrics of the reference's and of two cells
            raise KeyboardInterrupt
        return real(evaluator, clips)

    monkeypatch.setattr(describe, "described", stop)
    stopped = toy(*NOISE)
    assert stopped.code == 130 and "the same command continues" in stopped.err
    part = json.loads(stopped.out)
    assert part["notes"][0].startswith("not finished: ")
    assert {row["cell"] for row in part["rows"]} < {row["cell"] for row in whole["rows"]}
    for row in part["rows"]:
        assert row in whole["rows"]
    assert json.loads(cli("report", "run", "--format", "json").out)["rows"] == part["rows"]
    monkeypatch.setattr(describe, "described", real)
    assert json.loads(toy(*NOISE).out)["rows"] == whole["rows"]
    assert not Path("run/results.part.json").exists()
