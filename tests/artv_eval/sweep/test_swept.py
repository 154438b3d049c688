"""What an ablation varies is its own: which paths that are, and what a user who assigns one is told."""

import pytest

from artv_eval import CellSpec
from artv_eval.sweep.swept import Swept, paths_of


def cell(name, method="artv", sanity=False, fixed=(), **settings):
    return CellSpec(name=name, method=method, settings=settings, sanity=sanity, fixed=frozenset(fixed))


def test_paths_are_settings_and_those_of_components_in_them():
    spec = cell("a", steps=4, sampler={"name": "euler", "churn": 0.5}, guidance="artv/joint", frames=[1, 2])
    assert paths_of(spec) == {
        ("steps",): 4,
        ("sampler",): "euler",
        ("sampler", "euler", "churn"): 0.5,
        ("guidance",): "joint",  # the distribution is no part of the name
        ("frames",): [1, 2],
    }


def test_what_follows_a_colon_is_the_setting_that_it_is_for():
    assert paths_of(cell("a", "folder:clips/a"), "path") == {("path",): "clips/a"}
    assert paths_of(cell("a", "folder:clips/a")) == {} == paths_of(cell("a", "folder"), "path")


def test_a_path_with_different_values_is_held_and_an_equal_one_is_open():
    specs = [cell("few", steps=4, eta=1.0), cell("many", steps=50, eta=1.0), cell("real", "real", sanity=True, steps=1)]
    swept = Swept("steps", specs, choices=("values",))
    (why,) = swept.held(specs[0]).values()
    assert list(swept.held(specs[0])) == [("steps",)] == list(swept.held(specs[1]))
    assert why == (
        "ablation 'steps' itself sets artv.steps (few: 4, many: 50); leave it out, or choose its cells with --set "
        "steps.values=…"
    )
    assert swept.held(specs[2]) == {}, "a sanity cell compares nothing"


def test_a_setting_that_one_cell_leaves_open_differs_from_one_that_is_set():
    specs = [cell("on", eta=1.0), cell("off")]
    (why,) = Swept("eta", specs).held(specs[0]).values()
    assert "(on: 1.0, off: left open); leave it out" in why and "choose its cells" not in why
    assert Swept("eta", specs).held(specs[1]) == {}, "nothing is set in this one"


def test_components_settings_are_compared_among_cells_with_that_component():
    specs = [
        cell("little", sampler={"name": "euler", "churn": 0.1}),
        cell("much", sampler={"name": "euler", "churn": 0.9}),
        cell("other", sampler={"name": "ddim", "churn": 0.9}),
    ]
    swept = Swept("churn", specs)
    assert set(swept.held(specs[0])) == {("sampler",), ("sampler", "euler", "churn")}
    assert "itself sets euler.churn (little: 0.1, much: 0.9)" in swept.held(specs[0])["sampler", "euler", "churn"]
    assert set(swept.held(specs[2])) == {("sampler",)}, "alone with its component"


def test_methods_are_compared_each_with_itself():
    specs = [cell("ours", steps=50), cell("theirs", "modelscope", steps=25)]
    assert all(Swept("baselines", specs).held(spec) == {} for spec in specs)


def test_of_many_cells_four_are_named():
    specs = [cell(f"steps={n}", steps=n) for n in range(6)]
    why = Swept("steps", specs).held(specs[5])[("steps",)]
    assert "(steps=0: 0, steps=1: 1, steps=2: 2, steps=3: 3, …)" in why


def test_what_the_name_speaks_of_is_fixed_though_it_does_not_vary():
    spec = cell("real size", fixed=("frames",), steps=4)
    swept = Swept("sizes", [spec])
    assert "something else than its name says" in swept.held(spec)[("frames",)] and len(swept.held(spec)) == 1


@pytest.mark.parametrize(("name", "told"), [("steps", True), ("eta", False)])
def test_an_option_for_all_cells_leaves_alone_what_a_cell_sets(name, told):
    specs = [cell("a", steps=4), cell("b", steps=4)]
    why = Swept("x", specs).set_by(specs[0], name)
    assert (why is not None) == told and (not told or "sets artv.steps" in why)


def test_a_cell_of_several_trainings_is_named_once():
    specs = [cell(name, checkpoint=f"{name}-{seed}") for seed in (1, 2, 3) for name in ("on", "off")]
    (said,) = Swept("mask", specs).held(specs[0]).values()
    assert said.count("on: ") == said.count("off: ") == 1 and ", …" not in said
