"""What ``drift`` is on a card follows from the committed matrix of detection power, by the rule."""

import json
import re
from pathlib import Path

import pytest

from artv_eval.metrics.headline import ANY_VIDEO, STILL_BACKGROUND, best
from artv_eval.protocols.cards import load

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


@pytest.fixture(scope="module")
def matrix():
    """Measure → fault → (power, low, high) at n = 256."""
    return json.loads((RESULTS / "drift_power.json").read_text(encoding="utf-8"))["power"]["256"]


def test_the_headline_of_every_card_is_what_the_matrix_says_is_best(matrix):
    power = {measure: found["mean"][0] for measure, found in matrix.items()}
    assert best(power) == ANY_VIDEO == load("vbench@946").card.drift
    assert best(power, truth=True) == load("shapes@2").card.drift
    assert load("shapes@1").card.drift == STILL_BACKGROUND  # what it was keeps its name and its hash
    assert best(power, still=True) == "change_mean/slope"  # of which no card knows


def test_a_measure_that_is_no_change_along_the_clip_is_none_of_drift():
    assert best({"motion/level": 0.9, "motion/peak": 0.8, "colour/delta": 0.1, "change/slope": 0.7}) == "colour/delta"


def test_the_table_shows_the_matrix_with_its_intervals(matrix):
    text = (RESULTS / "drift_power.md").read_text(encoding="utf-8").partition("n = 256")[2]
    rows = re.findall(r"^\| `(\S+)` \| ([\d.]+) \[([\d.]+), ([\d.]+)\]", text, re.M)
    assert {name: [float(x) for x in values] for name, *values in rows} == {
        measure: [pytest.approx(value, abs=0.0051) for value in found["mean"]] for measure, found in matrix.items()
    }


def test_the_powers_of_windows_on_the_page_are_those_measured():
    power = json.loads((RESULTS / "drift_power_windows.json").read_text(encoding="utf-8"))["power"]
    page = (RESULTS.parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(window_\w+)` \| [a-z, ]+ \| (.* / .*) \| [.\d]+ \|$", page, re.M))
    faults = ("freeze", "loop", "colour shift", "blur grows", "object vanishes", "background repainted", "cut")
    for n, k in (("32", 0), ("256", 1)):
        shown = {name: [float(cell.split(" / ")[k]) for cell in row.split(" | ")] for name, row in rows.items()}
        assert shown == {
            name: [pytest.approx(each[fault][0], abs=0.0051) for fault in faults] for name, each in power[n].items()
        }
