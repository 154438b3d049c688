"""Quality against seconds: which cells are on the front, in the notes and in the picture."""

import json
import re
from pathlib import Path

import pytest

from artv_eval.report.pareto import trades
from artv_eval.report.plots import quality_against_cost, svg
from artv_eval.report.tables import fronts
from artv_eval.results.rows import Results, Row


def row(cell, metric, value, *, better=False, sanity=False, status="ok"):
    spread = (None, None) if value is None else (value - 0.1, value + 0.1)
    return Row(
        ablation="speed", cell=cell, method="artv", metric=metric, value=value, ci_low=spread[0], ci_high=spread[1],
        n=8, protocol="toy@1", status=status, higher_is_better=better, sanity=sanity,
    )  # fmt: skip


def results(*rows):
    return Results(run="run", rows=list(rows), comparisons=[], flaws=[], curves=[], notes=[])


@pytest.fixture
def run():
    seconds = {"exact": 8.0, "half": 4.0, "worse": 6.0, "cheap": 1.0, "real": 0.0}
    distance = {"exact": 2.0, "half": 3.0, "worse": 3.5, "cheap": 9.0, "real": 0.0}
    agreement = {"exact": 0.6, "half": 0.7, "worse": 0.5, "cheap": 0.4, "real": 0.9}
    return results(
        *(row(cell, "seconds", value, sanity=cell == "real") for cell, value in seconds.items()),
        *(row(cell, "fvd", value, sanity=cell == "real") for cell, value in distance.items()),
        *(row(cell, "clipsim", value, better=True, sanity=cell == "real") for cell, value in agreement.items()),
    )


def test_the_front_holds_what_nothing_beats_in_both(run):
    fronts_of = {trade.metric: list(trade.front) for trade in trades(run)}
    assert fronts_of == {"fvd": ["cheap", "half", "exact"], "clipsim": ["cheap", "half"]}
    assert fronts(run)[1] == (
        "speed: Pareto front of fvd against seconds a clip: cheap, half, exact; intervals tell half, exact from cheap"
    )


def test_a_front_says_what_its_intervals_do_not_tell_apart():
    seconds = [row(cell, "seconds", value) for cell, value in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    near = results(*seconds, *(row(c, "fvd", v) for c, v in (("a", 2.0), ("b", 1.9), ("c", 1.7))))
    assert fronts(near)[0].endswith("a, b, c; intervals tell c from a")  # half-widths are 0.1
    same = results(*seconds, *(row(c, "fvd", v) for c, v in (("a", 2.0), ("b", 1.95), ("c", 1.9))))
    assert fronts(same)[0].endswith("a, b, c; intervals tell none from a")


def test_cells_without_a_value_or_without_seconds_are_left_out():
    rows = [row(c, "seconds", s) for c, s in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    lacking = row("b", "fvd", None, status="failed: no")
    (trade,) = trades(results(*rows, row("a", "fvd", 2.0), lacking, row("c", "fvd", 1.0), row("d", "fvd", 0.5)))
    assert [r.cell for r in trade.quality] == ["a", "c"] and list(trade.front) == ["a", "c"]
    assert trades(results(row("a", "fvd", 1.0), row("b", "fvd", 2.0))) == []


def test_the_picture_has_a_point_a_cell_and_escapes_names(run):
    trade = next(trade for trade in trades(run) if trade.metric == "fvd")
    drawn = svg(quality_against_cost(trade))
    assert all(f">{name}<" in drawn for name in ("exact", "half", "worse", "cheap")) and ">real<" not in drawn
    assert "seconds a clip" in drawn and drawn == svg(quality_against_cost(trade))
    nasty = results(row("<b>", "seconds", 1.0), row("c", "seconds", 2.0), row("<b>", "fvd", 1.0), row("c", "fvd", 0.5))
    assert not re.search(r"<b>", svg(quality_against_cost(trades(nasty)[0])))


def test_a_sweep_measures_seconds(toy):
    """In a real sweep: a value a cell, but no interval, no test and no flaw; clips made again stay the same clips."""
    outcome = toy("--ablation", "noise", "--metrics", "brightness,seconds", "--format", "json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    seconds = [row for row in document["rows"] if row["metric"] == "seconds"]
    assert len(seconds) == 5 and all(row["value"] > 0 and row["ci_low"] is None for row in seconds)
    assert {pair["metric"] for pair in document["comparisons"]} == {"brightness"}
    (run,) = Path("runs").glob("noise-*")
    assert {flaw["metric"] for flaw in json.loads((run / "results.json").read_text())["flaws"]} == {"brightness"}
