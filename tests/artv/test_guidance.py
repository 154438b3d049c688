"""The algebra of every guidance formula."""

import itertools

import pytest
import torch

from artv.errors import UserError
from artv.guidance import GUIDANCE, Interval, Joint, Nested, Rescaled, ThreeTerm, parse, three_term

NAMES = ("ref", "anchor", "text")
ALL = frozenset(NAMES)


def prediction(dropped):
    """Unrelated numbers for every set of dropped conditions."""
    seed = sum(2 ** NAMES.index(name) for name in dropped)
    return torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run(guidance, sigma=1.0):
    return guidance.combine([prediction(b) for b in guidance.branches(sigma)], sigma)


FULL = prediction(frozenset())


def without(*names):
    return prediction(frozenset(names))


def test_equation_1():
    expected = FULL + 0.25 * (FULL - without("ref")) + 0.5 * (FULL - without("anchor")) + 6.5 * (FULL - without("text"))
    terms = (FULL, without("ref"), without("anchor"), without("text"))
    torch.testing.assert_close(three_term(*terms, ref=0.25, anchor=0.5, text=6.5), expected)
    torch.testing.assert_close(run(ThreeTerm(ref=0.25, anchor=0.5, text=6.5)), expected)
    assert ThreeTerm() == ThreeTerm(ref=0.25, anchor=0.25, text=6.5)


ZERO = {
    "three_term": ThreeTerm(ref=0, anchor=0, text=0),
    "joint": Joint(scale=0),
    "nested": Nested(ref=0, anchor=0, text=0),
    "interval": Interval(inner=ThreeTerm(ref=0, anchor=0, text=0), low=0.1, high=2),
    "rescaled": Rescaled(inner=ThreeTerm(ref=0, anchor=0, text=0), phi=0.7),
    "none": parse("none"),
}


@pytest.mark.parametrize("name", GUIDANCE)
def test_all_scales_zero_is_the_full_prediction_alone(name):
    assert ZERO[name].branches(1.0) == ZERO[name].branches() == (frozenset(),)
    assert torch.equal(run(ZERO[name]), FULL)


def slope(make, name):
    """The change of the result per unit of one scale (all formulas are linear in their scales)."""
    scales = dict.fromkeys(NAMES, 0.3)
    return run(make(**{**scales, name: 1.3})) - run(make(**scales))


def test_gradient_of_each_three_term_scale_is_its_difference():
    for name in NAMES:
        torch.testing.assert_close(slope(ThreeTerm, name), FULL - without(name))


def test_gradient_of_each_nested_scale_is_its_difference():
    torch.testing.assert_close(slope(Nested, "text"), FULL - without("text"))
    torch.testing.assert_close(slope(Nested, "anchor"), without("text") - without("text", "anchor"))
    torch.testing.assert_close(slope(Nested, "ref"), without("text", "anchor") - without(*NAMES))


def test_nested_is_instruct_pix2pix_with_scales_one_higher():
    s_ref, s_anchor, s_text = 1.25, 2.0, 7.5
    chain = [without(*NAMES), without("text", "anchor"), without("text"), FULL]
    expected = chain[0]
    for scale, (before, after) in zip((s_ref, s_anchor, s_text), itertools.pairwise(chain), strict=True):
        expected = expected + scale * (after - before)
    torch.testing.assert_close(run(Nested(ref=s_ref - 1, anchor=s_anchor - 1, text=s_text - 1)), expected)


def test_joint_is_classifier_free_guidance():
    torch.testing.assert_close(run(Joint(scale=6.5)), 7.5 * FULL - 6.5 * without(*NAMES))


@pytest.mark.parametrize("scales", list(itertools.product([0, 0.5], repeat=3)))
def test_branches_of_zero_weight_are_not_evaluated(scales):
    chosen = dict(zip(NAMES, scales, strict=True))
    active = [name for name in NAMES if chosen[name]]
    guidance = ThreeTerm(**chosen)
    assert guidance.branches() == (frozenset(), *(frozenset([name]) for name in active))
    expected = FULL + sum(0.5 * (FULL - without(name)) for name in active)
    torch.testing.assert_close(run(guidance), torch.as_tensor(expected))


def test_nested_evaluates_only_the_links_in_use():
    assert Nested(ref=0, anchor=0, text=1).branches() == (frozenset(), frozenset(["text"]))
    assert Nested(ref=0, anchor=1, text=0).branches() == (
        frozenset(),
        frozenset(["text"]),
        frozenset(["text", "anchor"]),
    )
    assert Nested(ref=1, anchor=0, text=0).branches() == (frozenset(), frozenset(["text", "anchor"]), ALL)
    assert len(Nested().branches()) == 4


def test_interval_guides_only_inside():
    guidance = Interval(inner=ThreeTerm(), low=0.3, high=5.0)
    assert len(guidance.branches()) == 4
    torch.testing.assert_close(run(guidance, 5.0), run(ThreeTerm()))
    for sigma in (0.3, 5.01, torch.tensor(9.0, dtype=torch.float64)):
        assert guidance.branches(sigma) == (frozenset(),)
        assert torch.equal(run(guidance, sigma), FULL)


def test_rescaled_restores_the_standard_deviation_of_each_sample():
    inner = ThreeTerm(text=9.0)
    axes = (1, 2, 3)
    whole = run(Rescaled(inner=inner, phi=1.0))
    torch.testing.assert_close(whole.std(axes), FULL.std(axes))
    torch.testing.assert_close(run(Rescaled(inner=inner, phi=0.0)), run(inner))
    torch.testing.assert_close(run(Rescaled(inner=inner, phi=0.25)), 0.25 * whole + 0.75 * run(inner))


def test_parse():
    assert parse(None) == ThreeTerm()
    assert parse("ref=0.25, anchor=0.5,text=6.5") == ThreeTerm(ref=0.25, anchor=0.5, text=6.5)
    assert parse({"text": 3}) == ThreeTerm(text=3.0)
    assert parse("joint:scale=4") == parse({"name": "joint", "scale": 4}) == Joint(scale=4.0)
    assert parse("nested:text=2") == Nested(text=2.0)
    assert parse("interval:low=0.3,high=5,text=4") == Interval(inner=ThreeTerm(text=4.0), low=0.3, high=5.0)
    assert parse("rescaled:phi=0.5") == Rescaled(inner=ThreeTerm(), phi=0.5)
    mine = Joint(scale=1)
    assert parse(mine) is mine


@pytest.mark.parametrize(
    "given,message",
    [
        ("text=-1", "text is -1"),
        ({"ref": -0.5}, "ref is -0.5"),
        ("joint:scale=-2", "scale is -2"),
        ("text=much", "'much'"),
        ("txt=1", "did you mean text"),
        ("jiont:scale=1", "did you mean joint"),
        ("text=nan", "text is nan"),
        ("text=1,text=2", "gives text twice"),
        ("joint:scale=1, scale=1", "gives scale twice"),
        ("interval:low=5,high=1", "low < high"),
        ("rescaled:phi=2", r"in \[0, 1\]"),
        (7, "7"),
    ],
)
def test_bad_guidance_is_one_clear_line(given, message):
    with pytest.raises(UserError, match=message) as error:
        parse(given)
    assert "\n" not in str(error.value)
