"""Plans in YAML: the same cells as the options that they stand for, mistakes with their line, costs, what two share."""

import json
from pathlib import Path

import pytest
import yaml

from artv.errors import UserError
from artv_eval.results.documents import write_json
from artv_eval.sweep.plan_file import plan_of

PLAN = {
    "ablations": ["noise"],
    "cells": [
        {"name": "weak", "method": "noisy", "settings": {"strength": 1.5}},
        {"name": "strong", "method": "noisy", "settings": {"strength": 9}},
    ],
    "grid": {"noisy.steps": [3, 4]},
    "set": ["noisy.masked=true"],
    "protocol": "toy@1",
    "num_videos": 6,
    "metrics": ["brightness"],
    "out": "run",
}


@pytest.fixture
def plan(cli):
    """Calls ``artv-eval`` in the toy world with a plan file."""
    toy = Path(__file__).parents[1] / "toy"

    def call(*arguments, document=PLAN, name="plan.yaml"):
        Path(name).write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
        return cli("--plugins-dir", toy, *arguments, name)

    return call


def test_a_plan_file_and_the_options_that_it_stands_for_are_the_same_cells(plan, toy):
    listed = json.loads(plan("sweep", "--dry-run", "--format", "json").out)["cells"]
    options = ("--grid", "noisy.steps=3,4", "--set", "noisy.masked=true", "--metrics", "brightness")
    typed = toy("--ablation", "noise", *options, "--dry-run", "--format", "json")
    ids = {cell["cell"]: cell["id"] for cell in listed if cell["ablation"] == "noise"}
    assert ids == {cell["cell"]: cell["id"] for cell in json.loads(typed.out)["cells"]}
    own = {cell["cell"]: cell["ran"] for cell in listed if cell["ablation"] == "cells" and cell["method"] == "noisy"}
    assert {name: (ran["strength"], ran["steps"], ran["masked"]) for name, ran in own.items()} == {
        "weak noisy.steps=3": (1.5, 3, True), "weak noisy.steps=4": (1.5, 4, True),
        "strong noisy.steps=3": (9.0, 3, True), "strong noisy.steps=4": (9.0, 4, True),
    }  # fmt: skip


def test_options_come_on_top_of_the_file(plan):
    more = ("--num-videos", 3, "--set", "noisy.together=true", "--grid", "noisy.steps=5")
    document = json.loads(plan("sweep", "--dry-run", "--format", "json", *more).out)
    first = document["cells"][0]["ran"]
    assert (document["num_videos"], first["steps"], first["together"], first["masked"]) == (3, 5, True, True)


@pytest.mark.parametrize(
    ("typed", "seeds", "lengths"),
    [([], 3, [5, 9]), (["--train"], 3, [5, 9]), (["--train-seeds", 2], 2, [5, 9]), (["--train-steps", "4"], 3, [4])],
)
def test_what_is_typed_of_the_training_comes_on_top_of_the_file_too(plan, typed, seeds, lengths):
    file = "ablations: [learning]\ntrain: {seeds: 3, steps: [5, 9]}\nprotocol: toy@1\nnum_videos: 6"
    outcome = plan("sweep", "--dry-run", *typed, document=file)
    assert outcome.code == 0, outcome.err
    steps = [word for word in (f", {n} steps (" for n in (4, 5, 9)) if word in outcome.out]
    assert steps == [f", {n} steps (" for n in lengths]
    assert f"seed {seeds}," in outcome.out and f"seed {seeds + 1}," not in outcome.out


@pytest.mark.parametrize("option", ["--train-seeds", "--train-steps"])
def test_how_to_train_is_refused_where_nothing_is_trained(toy, option):
    outcome = toy("--ablation", "levels", option, 4, "--dry-run")
    assert outcome.code == 2 and f"{option} is 4 and nothing is trained; add --train" in outcome.err


def test_a_sweep_of_a_plan_has_a_table_of_each_ablation(plan):
    outcome = plan("sweep", "--format", "json")
    pairs = {(pair["ablation"], pair["a"], pair["b"]) for pair in json.loads(outcome.out)["comparisons"]}
    assert outcome.code == 0 and ("cells", "weak noisy.steps=3", "strong noisy.steps=4") in pairs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ablations: [noise]\ngrids: {a.b: [1]}", "line 2: unknown field 'grids'; did you mean grid"),
        ("ablations: [noise]\n\nnum_videos: many", "line 3: field 'num_videos' is 'many'"),
        (
            "cells:\n- {name: a}\n- name: b\n  metod: noisy",
            "line 4: unknown field 'cells.1.metod'; did you mean method?",
        ),
        ("ablations: [noise]\ngrid:\n  noisy.steps: []", "noisy.steps has no value"),
        ("ablations: [noise]\ngrid: {}", "line 2: field 'grid' is {}"),
        ("grid:\n  noisy.steps: &loop [*loop]", "what begins in line 2 holds itself"),
        ("cells:\n- {name: a}\n- {name: b, method: noysy}", "line 3: unknown method 'noysy'; did you mean noisy"),
        ("ablations: [noise,\n nois]", "line 2: unknown ablation 'nois'; did you mean"),
        ("ablations: [noise]\nmetrics: [fdv]", "line 2: unknown metric 'fdv'; did you mean"),
        (
            "cells:\n- name: a\n  settings:\n    sampler: {name: dpmp}\n- {name: b}",
            "line 4: unknown sampler 'dpmp'; did you mean",
        ),
        (
            "cells:\n- name: a\n  method: noisy\n  settings:\n    masked: true\n    strenght: 2",
            "line 6: noisy has no setting 'strenght'; did you mean strength",
        ),
        (
            "cells:\n- {name: a, method: noisy, settings: {strength: much}}",
            "line 2: noisy.strength is 'much'",
        ),
        (
            "ablations: [noise]\nsettings:\n  noisy:\n    strenght: 2",
            "line 4: noisy has no setting 'strenght'; did you mean strength",
        ),
        (
            "cells: [{name: a, method: noisy}]\ngrid:\n  noisy.strenght: [2, 4]",
            "line 3: noisy has no setting 'strenght'; did you mean strength",
        ),
        ("cells: [{name: a, method: noisy}]\ngrid:\n  noisy.strength: 2,much", "line 3: noisy.strength is 'much'"),
        ("cells: [{name: real}, {name: b}]", "named 'real', as a row that every table has; give it another name"),
        ("ablations: [noise]\nexecutor: rays", "line 2: unknown executor 'rays'; did you mean ray"),
        ("ablations: [noise]\npreset: paper\ndevice: gpu7", "line 3: --device is 'gpu7'"),
        ("ablations: [noise]\nshard: 3/2", "line 2: --shard is '3/2'; it must be i/n"),
        ("ablations: [noise]\npreset: shape", "line 2: preset is 'shape'"),
        ("ablations: [noise]\nset:\n- noisy.steps=3\n- noisy.stepz=3", "line 4: noisy has no setting 'stepz'"),
        ("cells:\n- {name: a}\n- {name: a, settings: {steps: 2}}", "line 1: two cells are named 'a'"),
        (
            "cells: [{name: a, method: noisy}]\ngrid:\n  noisy.strength: [1, 1.0]",
            "noisy.strength gives something twice",
        ),
        ("num_videos: 6", "has no cells: give it ablations, cells or a grid"),
    ],
)
def test_mistakes_are_one_line_with_their_place(plan, text, words):
    for command in (("sweep", "--dry-run"), ("plan", "show", "--no-probe")):
        outcome = plan(*command, document=text)
        assert outcome.code == 2 and words in outcome.err and len(outcome.err.splitlines()) == 1, outcome.err


def test_a_plan_is_listed_with_ids_and_what_a_probe_says_of_its_costs(plan, made):
    document = json.loads(plan("plan", "show", "--probe", 60, "--json").out)
    assert len(made()) > 0 and not Path("run").exists()
    costs, cells = document["costs"], document["cells"]
    # 4 noisy cells of each ablation and 3 sanity cells, whose clips both ablations share
    assert costs["clips"] == 6 * (4 + 4 + 3) and costs["cells"] == 11 and costs["probed_cells"] == 11
    assert 0 < costs["device_hours"] < 0.01 and 0 < costs["bytes"] < costs["bytes_free"]
    text = plan("plan", "show", "--no-probe").out
    assert all(cell["id"] in text for cell in cells)
    assert plan("sweep").code == 0
    left = json.loads(plan("plan", "show", "--probe", 60, "--json").out)
    assert left["costs"]["clips"] == 0 and {cell["finished"] for cell in left["cells"]} == {6}


def test_what_two_plans_share(plan, cli):
    plan("sweep")
    other = {**PLAN, "ablations": [], "grid": {"noisy.steps": [4, 5]}, "num_videos": 4}
    shown = json.loads(plan("plan", "diff", "run", "--json", document=other, name="other.yaml").out)
    names = {part: set(items.values()) for part, items in shown["cells"].items()}
    assert {name for name in names["shared"] if "noisy" in name} == {
        "cells · weak noisy.steps=4", "cells · strong noisy.steps=4"
    }  # fmt: skip
    assert names["only_b"] == {"cells · weak noisy.steps=5", "cells · strong noisy.steps=5"}
    assert shown["shared_clips"] == 4 * (2 + 3)
    assert "5 in both" in plan("plan", "diff", "run", document=other, name="other.yaml").out


def test_a_run_s_plan_is_without_who_made_its_clips(tmp_path):
    ours = {"ablations": ["noise"], "num_videos": 4, "set": ["artv.steps=2"], "settings": {"sampler": {"eta": 0.5}}}
    theirs = {
        "executor": "ray", "shard": "1/2", "set": ["executor.gpus=1", "artv.steps=2"],
        "settings": {"sampler": {"eta": 0.5}, "executor": {"address": "auto"}},
    }  # fmt: skip
    write_json(tmp_path / "manifest.json", {"plan": ours | theirs})
    assert plan_of(tmp_path).document() == ours


@pytest.mark.parametrize(
    ("manifest", "words"),
    [({}, "older than plans in manifests"), ({"plan": {"colour": 1}}, "none that this version knows: .*colour")],
)
def test_a_plan_that_cannot_be_read_is_one_line(tmp_path, manifest, words):
    write_json(tmp_path / "manifest.json", manifest)
    with pytest.raises(UserError, match=words) as error:
        plan_of(tmp_path)
    assert "\n" not in str(error.value)
