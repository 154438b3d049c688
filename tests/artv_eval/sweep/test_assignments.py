"""What ``--set``, ``--steps`` and a grid assign: taken once, held with a reason, and nothing left unused in silence."""

import pytest

from artv.errors import UserError
from artv_eval.plugins.manager import PluginManager, PluginOptions
from artv_eval.sweep.assignments import STEPS, Assignments


@pytest.fixture(scope="module")
def manager():
    return PluginManager(PluginOptions())


def test_what_is_known_is_taken_and_the_rest_is_told_of(manager):
    given = Assignments({"artv": {"steps": 4, "stepps": 5}})
    assert given.has("artv") and not given.has("sampler")
    assert given.take("artv", {"steps": None, "seed": None}) == {"steps": 4}
    assert given.take("sampler") == {}
    with pytest.raises(UserError, match=r"--set artv\.stepps: no artv here has the setting 'stepps'; .*steps"):
        given.finish(manager)


def test_what_is_held_stays_and_its_reason_is_told(manager):
    given = Assignments({"artv": {"steps": 4, "anchor": "first"}}, steps=9)
    assert given.take("artv", held={"steps": "the cells differ in it"}) == {"anchor": "first"}
    assert given.take(STEPS, {"steps": None}) == {"steps": 9}
    with pytest.raises(UserError, match=r"^--set artv\.steps=4: the cells differ in it$"):
        given.finish(manager)


@pytest.mark.parametrize(
    ("component", "words"),
    [
        ("samplr", "nothing of this run is named 'samplr'; did you mean sampler"),
        ("euler", "no sampler of this run is 'euler'; choose it with --set method.sampler=euler"),
        ("serial", "write executor.x, with --executor serial"),
        ("guidance", "say first which one, with --set method.guidance=NAME"),
    ],
)
def test_what_nobody_takes_is_told_with_what_would_reach_it(manager, component, words):
    given = Assignments({component: {"x": 1}})
    given.take("sampler", {"eta": None})
    given.role("sampler", chosen=True)
    given.role("guidance", chosen=False)
    with pytest.raises(UserError) as error:
        given.finish(manager)
    assert words in str(error.value) and str(error.value).startswith(f"--set {component}.x: ")


def test_steps_that_nothing_takes_are_told(manager):
    with pytest.raises(UserError, match="--steps 9: nothing of this run takes a number of steps"):
        Assignments({}, steps=9).finish(manager)


def test_a_point_of_a_grid_is_over_what_was_set_and_notes_what_was_taken_of_it(manager):
    given = Assignments({"artv": {"steps": 4, "seed": 1}}, grid=["artv.steps", "three_term.text"])
    one, other = given.at({"artv.steps": 5, "three_term.text": 1}), given.at({"artv.steps": 6, "three_term.text": 1})
    assert one.take("artv", {"seed": None}) == {"seed": 1} and one.swept == set()
    assert one.take("artv") == {"steps": 5, "seed": 1} and one.swept == {("artv", "steps")}
    assert other.take("artv") == {"steps": 6, "seed": 1} and given.take("artv") == {"steps": 4, "seed": 1}
    with pytest.raises(UserError, match=r"^--grid three_term\.text: "):  # of neither point was it taken
        given.finish(manager)
    other.take("three_term")
    given.finish(manager)


def test_what_is_claimed_is_nobody_elses(manager):
    given = Assignments({"sampler": {"names": ["euler"], "eta": 0.5}})
    assert given.claim("sampler", {"names": None}) == {"names": ["euler"]}
    assert given.take("sampler") == {"eta": 0.5}
    given.finish(manager)
