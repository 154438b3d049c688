"""A speed card joined with a run: its rates as a cost beside the quality of the same cells."""

import json
from pathlib import Path

import pytest

from artv.errors import UserError
from artv_eval.report.html import page
from artv_eval.report.pareto import trades
from artv_eval.report.plots import quality_against_cost, svg
from artv_eval.report.speed_cards import read_speed, steps_ran, with_speed
from artv_eval.report.tables import fronts
from artv_eval.results.rows import Results, Row

TOY = Path(__file__).parents[1] / "toy"
CONDITIONS = {"hardware": "H", "width": 64, "height": 48, "frames": 9, "precision": "bfloat16", "steps": 4, "batch": 2}


def card(status="ok", **rates):
    return [{"method": name, **CONDITIONS, "steady_frames_s": rate, "status": status} for name, rate in rates.items()]


def run(*cells, metric="fvd", better=False):
    """Cells as (name, method, value)."""
    rows = [
        Row(
            ablation="baselines", cell=cell, method=method, metric=metric, value=value, ci_low=value - 1,
            ci_high=value + 1, n=8, protocol="toy@1", higher_is_better=better, sanity=cell == "real",
        )
        for cell, method, value in cells
    ]  # fmt: skip
    return Results(run="run", rows=rows)


THREE = (("ours", "artv", 20.0), ("theirs", "command", 10.0), ("slow", "diffusers", 15.0), ("real", "real", 0.0))


def test_rates_become_seconds_a_frame_of_the_cells_they_belong_to():
    results = with_speed(run(*THREE), card(artv=4.0, theirs=0.5, slow=0.25, real=9.0, unknown=1.0))
    costs = {row.cell: row.value for row in results.rows if row.metric == "frame_seconds"}
    assert costs == {"ours": 0.25, "theirs": 2.0, "slow": 4.0}  # ours by its method; a sanity cell has no speed
    (trade,) = trades(results)
    assert list(trade.front) == ["ours", "theirs"] and trade.cost_title == "seconds a frame"  # slow is beaten in both
    assert fronts(results) == [
        "baselines: Pareto front of fvd against seconds a frame: ours, theirs; intervals tell theirs from ours"
    ]
    assert "seconds a frame" in svg(quality_against_cost(trade))


def test_the_conditions_stand_with_the_numbers():
    notes = with_speed(run(*THREE), card(artv=4.0, theirs=0.5)).notes
    assert notes[0] == "frame_seconds of ours: 4 frames/s on H, 64×48, 9 frames, bfloat16, 4 steps, batch 2"
    assert len(notes) == 2


def test_a_method_of_two_cells_is_nobodys_and_a_name_wins():
    results = run(("a", "artv", 1.0), ("b", "artv", 2.0), ("c", "x", 3.0))
    with pytest.raises(UserError, match=r"has artv \(ok\) and the run the cells a, b, c: none of them has a rate"):
        with_speed(results, card(artv=4.0))
    found = with_speed(results, card(artv=4.0, a=2.0))
    assert {row.cell: row.value for row in found.rows if row.metric == "frame_seconds"} == {"a": 0.5}


def test_both_costs_of_a_run_have_a_front_each():
    timed = run(("ours", "artv", 9.0), ("theirs", "command", 3.0), metric="seconds").rows
    results = run(*THREE)
    found = with_speed(Results(run="r", rows=[*results.rows, *timed]), card(artv=4.0, theirs=0.5))
    assert {(trade.cost_title, tuple(trade.front)) for trade in trades(found)} == {
        ("seconds a clip", ("theirs",)), ("seconds a frame", ("ours", "theirs")),
    }  # fmt: skip


def test_rows_without_a_rate_are_told_with_their_status():
    with pytest.raises(UserError, match=r"theirs \(not available: no weights\)"):
        with_speed(run(*THREE), card("not available: no weights", theirs=None))


@pytest.mark.parametrize("text", ["no json", "[1]", '{"rows": [{}]}', '{"a": []}'])
def test_what_is_no_card_is_said(tmp_path, text):
    (tmp_path / "speed.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"speed\.json is no speed card .* efficiency --streaming --out FILE"):
        read_speed(tmp_path / "speed.json")


@pytest.mark.parametrize("lacking", ["precision", "steps", "hardware"])
def test_a_rate_without_its_conditions_is_refused(tmp_path, lacking):
    rows = [{**row, lacking: None} for row in card(artv=1.0)]
    (tmp_path / "speed.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    with pytest.raises(UserError, match=rf"the row of artv says nothing without its {lacking}"):
        read_speed(tmp_path / "speed.json")


def test_joined_on_the_command_line_and_on_the_page(cli):
    results = run(*THREE)
    Path("run").mkdir()
    Path("run/results.json").write_text(json.dumps(results.to_dict()), encoding="utf-8")
    Path("speed.json").write_text(json.dumps(card(artv=4.0, theirs=0.5)), encoding="utf-8")
    outcome = cli("report", "run", "--speed", "speed.json")
    assert outcome.code == 0, outcome.err
    flat = " ".join(outcome.out.split())
    assert "Pareto front of fvd against seconds a frame: ours, theirs" in flat
    assert "4 frames/s on H, 64×48, 9 frames, bfloat16, 4 steps, batch 2" in flat
    shown = page(with_speed(results, card(artv=4.0, theirs=0.5)), None)
    assert "seconds a frame" in shown and "batch 2" in shown
    assert cli("report", "run", "--speed", "none.json").code == 2


def test_a_rate_of_other_steps_is_not_the_cells():
    ran = steps_ran({"cells": [{"ablation": "baselines", "cell": "ours", "ran": {"steps": 50}},
                               {"ablation": "baselines", "cell": "theirs", "ran": None}]})  # fmt: skip
    with pytest.raises(UserError, match=r"the card's artv took 4 steps and the cell ours 50, so that .* --cells RUN"):
        with_speed(run(*THREE), card(artv=4.0, theirs=0.5), ran)
    assert len(with_speed(run(*THREE), card(theirs=0.5), ran).notes) == 1


def test_cells_of_a_run_are_measured_as_they_ran_and_paired_by_name(toy, cli, tmp_path):
    """The toy says its strength where others say a precision: each rate has that of its cell."""
    made = toy("--ablation", "noise", "--grid", "noisy.steps=3,5", "--metrics", "brightness", "--out", "run")
    assert made.code == 0, made.err
    known = ("efficiency", "--plugins-dir", TOY, "--streaming", "--cells", "run")
    assert cli(*known, "--frames", 9).code == 2
    outcome = cli(*known, "--out", "speed.json")
    assert outcome.code == 0, outcome.err
    rows = json.loads(Path("speed.json").read_text(encoding="utf-8"))
    cells = json.loads(Path("run/manifest.json").read_text(encoding="utf-8"))["cells"]
    ran = {cell["cell"]: cell["method"]["settings"] for cell in cells if not cell["sanity"]}
    assert {row["method"]: (row["precision"], row["steps"]) for row in rows} == {
        name: (f"noise {its['strength']:g}", its["steps"]) for name, its in ran.items()
    } and len(rows) == 4  # fmt: skip
    shown = json.loads(cli("report", "run", "--speed", "speed.json", "--format", "json").out)["rows"]
    costs = {row["cell"]: row["value"] for row in shown if row["metric"] == "frame_seconds"}
    assert costs == {row["method"]: 1 / row["steady_frames_s"] for row in rows}
