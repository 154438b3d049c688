"""Grids: the product of settings, cells that a grid does not change once, and mistakes in one line."""

import json
from itertools import product

import pytest


@pytest.fixture
def cells(toy):
    def call(*arguments):
        outcome = toy("--dry-run", "--format", "json", *arguments)
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)["cells"]

    return call


def test_a_grid_is_the_product_and_sanity_cells_are_there_once(cells):
    found = cells("--ablation", "noise", "--grid", "noisy.steps=3,4", "--grid", "method.masked=true,false")
    names = [cell["cell"] for cell in found]
    expected = [
        f"noise={much} noisy.steps={steps} method.masked={masked}"
        for much, steps, masked in product(("little", "much"), (3, 4), ("true", "false"))
    ]
    assert names == [*expected, "real", "copy-first", "wrong-prompt"]
    ran = {cell["cell"]: cell["ran"] for cell in found}
    assert [(ran[name]["steps"], ran[name]["masked"]) for name in expected[:4]] == [
        (3, True), (3, False), (4, True), (4, False)
    ]  # fmt: skip
    assert len({cell["id"] for cell in found}) == len(found)


def test_a_cell_that_the_grid_does_not_change_is_there_once(cells):
    names = [cell["cell"] for cell in cells("--ablation", "breaking", "--grid", "noisy.steps=3,4")]
    assert names == ["works noisy.steps=3", "works noisy.steps=4", "fails"]


def test_ids_are_those_of_the_same_settings_without_a_grid(cells):
    one = cells("--ablation", "noise", "--grid", "noisy.steps=5,6")
    alone = cells("--ablation", "noise", "--set", "noisy.steps=6")
    ids = {cell["cell"]: cell["id"] for cell in one}
    assert ids["noise=much noisy.steps=6"] == next(cell["id"] for cell in alone if cell["cell"] == "noise=much")


def test_a_grid_alone_compares_one_model_with_itself(cli):
    outcome = cli("sweep", "--grid", "three_term.text=1,2", "--dry-run", "--format", "json", "--metrics", "drift")
    ran = {cell["cell"]: cell["ran"] for cell in json.loads(outcome.out)["cells"]}
    assert [ran[f"artv three_term.text={text}"]["guidance.text"] for text in (1, 2)] == [1, 2]


def test_a_grid_is_run_and_compared_with_its_first_point(toy):
    document = json.loads(toy("--ablation", "breaking", "--grid", "noisy.strength=1,9", "--format", "json").out)
    assert {(pair["a"], pair["b"]) for pair in document["comparisons"]} == {
        ("works noisy.strength=1", "works noisy.strength=9")
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("noise", "--grid", "noisy.steps="), "--grid 'noisy.steps=' has no value"),
        (("noise", "--grid", "noisy.steps=3,3"), "gives something twice"),
        (("noise", "--grid", "noisy.steps=3", "--grid", "noisy.steps=4"), "gives something twice"),
        (("noise", "--grid", "steps"), "--grid is 'steps'; it must be component.field=value"),
        (("noise", "--grid", "nosy.steps=3,4"), "--grid nosy.steps: nothing of this run is named 'nosy'"),
        (("noise", "--grid", "noisy.steps=3,many"), "noisy.steps is 'many'"),
        (("noise", "--grid", "noisy.strength=1,2"), "ablation 'noise' itself sets noisy.strength (noise=little: 2.0"),
        (("noise", "--grid", "distance.size=1,2"), "--grid distance.size: no distance here has the setting"),
    ],
)
def test_mistakes_are_one_line(toy, arguments, words):
    outcome = toy("--ablation", *arguments)
    assert outcome.code == 2 and words in outcome.err and "Traceback" not in outcome.err, outcome.err


def test_an_ablation_of_one_cell_says_so(toy):
    outcome = toy("--ablation", "idle", "--set", "idle.values=[3]")
    assert "idle has one cell: there is nothing to compare it with" in " ".join(outcome.err.split())
    assert "idle has one cell: there is nothing to compare it with" in " ".join(outcome.out.split())
