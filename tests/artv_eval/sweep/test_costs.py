"""What a sweep will cost: sums by hand, what is not known said so, and a probe of methods whose costs are known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artv_eval.api import GeneratedClip
from artv_eval.results.store import RunStore
from artv_eval.sweep.costs import Costs, Probe, _estimate, _size

TOY = Path(__file__).parents[1] / "toy"
COSTS = Costs(
    clips=100, seconds=7200.0, bytes=4e9, training_minutes=90.0, training_bytes=1_000_000_000, watts=400.0, probed=2,
    cells=3, free=80_000_000_000, device="cuda", unknown={},
)  # fmt: skip


def test_hours_and_energy_are_sums():
    assert COSTS.hours == pytest.approx(2 + 1.5) and COSTS.kwh == pytest.approx(3.5 * 0.4)
    found = COSTS.document()
    assert (found["device_hours"], found["kwh"], found["bytes"]) == (3.5, pytest.approx(1.4), 5e9)
    (line,) = COSTS.lines()
    assert "100 clips to make, 72 s a clip; about 3.5 device hours on cuda, 1.4 kWh at 400 W; 5 GB of 80 GB" in line
    assert line.endswith("(from clips of 2 of 3 cells)")


@pytest.mark.parametrize(
    ("changes", "hours", "kwh", "words"),
    [
        ({"seconds": None}, None, None, "100 clips to make; device hours not known on cuda, kWh not known"),
        ({"training_minutes": None}, None, None, "72 s a clip; device hours not known"),
        ({"watts": None}, 3.5, None, "about 3.5 device hours on cuda, kWh not known, for nothing here measures power"),
        ({"clips": 0, "seconds": 0.0}, 1.5, 0.6, "0 clips to make; about 1.5 device hours"),
        ({"bytes": None}, 3.5, 1.4, "1 GB of 80 GB free"),
    ],
)
def test_what_is_not_known_is_no_number(changes, hours, kwh, words):
    costs = replace(COSTS, **changes)
    assert (costs.hours, costs.kwh) == (hours, None if kwh is None else pytest.approx(kwh))
    assert words in costs.lines()[0]
    json.dumps(costs.document(), allow_nan=False)


def test_too_little_room_and_cells_without_an_estimate_are_lines():
    lines = replace(COSTS, free=4_999_999_999, unknown={"off": "no time to probe it"}).lines()
    assert lines[1:] == ["off: cost not known (no time to probe it)", "more room is needed than there is"]
    assert len(replace(COSTS, free=5_000_000_000).lines()) == 1


def cell(key, label):
    return type("Cell", (), {"id": key, "label": label})()


def test_a_cell_that_was_not_probed_costs_what_those_of_its_method_do_on_average():
    cells = [cell("a", "artv"), cell("b", "artv"), cell("c", "artv"), cell("d", "other")]
    probes = {
        "a": Probe(seconds=1.0, bytes=10.0, clips=4, watts=100.0),
        "b": Probe(seconds=3.0, bytes=50.0, clips=1, watts=1.0),
    }
    assert _estimate(cells[0], cells, probes) is probes["a"]
    found = _estimate(cells[2], cells, probes)
    assert (found.seconds, found.bytes) == (2.0, 30.0)
    assert _estimate(cells[3], cells, probes) is None


def test_a_clips_size_is_that_of_its_file(tmp_path):
    clips = [
        GeneratedClip(np.random.default_rng(k).integers(0, 256, (2 + 4 * k, 8, 8, 3), np.uint8), seconds=0.5)
        for k in range(2)
    ]
    store = RunStore(tmp_path)
    for k, clip in enumerate(clips):
        store.save_clip("cell", k, clip)
    sizes = [store.clip_path("cell", k).stat().st_size for k in range(2)]
    assert _size(clips) == pytest.approx(sum(sizes) / 2, abs=8) and _size([]) == 0  # of what the clip is said to be of


@pytest.fixture
def costs(cli):
    def call(*arguments):
        outcome = cli(
            "plan", "show", "--plugins-dir", TOY, "--protocol", "toy@1", "--num-videos", 6, "--json", *arguments
        )
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)["costs"]

    return call


def test_a_probe_finds_what_clips_take(costs, monkeypatch, tmp_path):
    monkeypatch.setenv("TOY_SECONDS", "0.04")  # which is 0.02 s a clip of two of the five methods
    found = costs("--ablation", "noise", "--out", "run")
    assert (found["clips"], found["cells"], found["probed_cells"]) == (30, 5, 5) and not (tmp_path / "run").exists()
    assert 2 * 6 * 0.02 <= found["device_hours"] * 3600 < 2 * 6 * 0.02 * 10
    clip_bytes = 4 * 8 * 8 * 3  # of noise, which deflate cannot shrink much
    assert 0.2 * 30 * clip_bytes < found["bytes"] < 30 * (clip_bytes + 1500)


def test_what_takes_next_to_nothing_is_probed_first(costs, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "1")
    found = costs("--ablation", "noise", "--probe", 0.5)  # time for one of the two that take half a second a clip
    assert found["probed_cells"] == 4 and found["device_hours"] * 3600 > 2 * 6 * 0.5 and not found["unknown"]


def test_a_cell_that_fails_costs_nobody_knows_what(costs):
    found = costs("--ablation", "breaking")
    assert found["device_hours"] is None and list(found["unknown"]) == ["fails"]
    assert "RuntimeError: out of luck" in found["unknown"]["fails"]
