"""From a name or a mapping to an object, the same way for every kind that has one."""

import pytest

from artv.accelerations import ReuseGuidance, acceleration
from artv.anchors import Blend, Sliding, UserImage, anchor_strategy
from artv.conditioning import noise_levels
from artv.errors import UserError
from artv.guidance import Interval, Joint, ThreeTerm
from artv.guidance import parse as guidance
from artv.mask_rules import Hard, mask_rule
from artv.named import named


def pair(*, left=1, right):
    return left, right


FACTORIES = {"pair": pair, "nothing": lambda: None}


def test_a_name_or_a_mapping_makes_the_object():
    assert named("thing", "nothing", FACTORIES) is None
    assert named("thing", {"name": "pair", "right": 3}, FACTORIES) == (1, 3)
    assert named("thing", {"right": 3, "left": 2}, FACTORIES, default="pair") == (2, 3)
    given = {"name": "pair", "right": 3}
    assert named("thing", given, FACTORIES) and given == {"name": "pair", "right": 3}, "the mapping stays the caller's"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("pear", "thing is 'pear'; did you mean pair"),
        ({"right": 3}, "thing is None; it must be one of nothing, pair"),
        ({"name": "pair", "rigt": 3}, "thing pair has no setting 'rigt'; did you mean right"),
        ("pair", "thing pair needs right"),
        (3, "thing is 3; give a name, or a mapping such as {'name': 'nothing'}"),
        (None, "thing is None; give a name"),
    ],
)
def test_what_cannot_be_is_one_line(given, message):
    with pytest.raises(UserError) as caught:
        named("thing", given, FACTORIES)
    assert str(caught.value).startswith(message)


def test_what_a_factory_raises_is_its_own():
    """A fault within a factory is not taken for a setting that it lacks."""

    def broken(*, size=1):
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        named("thing", {"name": "broken", "size": 2}, {"broken": broken})


@pytest.mark.parametrize(
    ("make", "given", "made"),
    [
        (anchor_strategy, "sliding", Sliding(every=8)),
        (anchor_strategy, {"name": "blend", "keep": 0.5}, Blend(keep=0.5)),
        (anchor_strategy, "image:a b.png", UserImage(picture="a b.png")),
        (mask_rule, {"name": "hard", "threshold": 0.7}, Hard(threshold=0.7)),
        (acceleration, {"name": "reuse-guidance", "every": 3}, ReuseGuidance(every=3)),
        (guidance, "joint:scale=4", Joint(scale=4)),
        (guidance, {"text": "7"}, ThreeTerm(ref=0.25, anchor=0.25, text=7)),
        (guidance, "interval:low=1,text=2", Interval(inner=ThreeTerm(text=2), low=1)),
    ],
)
def test_each_kind_by_value(make, given, made):
    assert make(given) == made
    assert make(made) is made


def test_noise_levels_by_text_are_in_the_order_of_the_signature():
    import torch

    u = torch.tensor([0.0, 0.5])
    assert noise_levels("uniform:0.1:0.3")(u).tolist() == pytest.approx([0.1, 0.2])
    assert noise_levels({"name": "uniform", "high": 0.4})(u).tolist() == pytest.approx([0.0, 0.2])
    assert noise_levels("constant")(u).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (anchor_strategy, {"name": "blend", "keep": "a"}, "anchor blend: keep is 'a'; it must be a number in [0, 1]"),
        (anchor_strategy, {"name": "sliding", "every": 0}, "anchor sliding: every is 0; it must be a whole number"),
        (anchor_strategy, "image", "anchor image names no picture; write image:FILE"),
        (mask_rule, {"name": "hard", "threshold": "x"}, "mask hard: threshold is 'x'; it must be a number"),
        (acceleration, {"name": "reuse-guidance", "every": 1.5}, "acceleration reuse-guidance: every is 1.5"),
        (guidance, {"name": "interval", "low": "x"}, "guidance low is 'x'; it must be a number"),
        (guidance, {"name": "rescaled", "phi": 2}, "guidance phi is 2.0; it must be a number in [0, 1]"),
        (noise_levels, {"name": "uniform", "high": "x"}, "noise levels uniform: high is 'x'"),
        (noise_levels, "uniform:0:x", "noise levels 'uniform:0:x': write name:number[:number]"),
        (noise_levels, "uniform:0:0.1:0.2", "noise levels 'uniform:0:0.1:0.2': write name:number[:number]"),
    ],
)
def test_a_wrong_value_is_told_as_such(make, given, message):
    with pytest.raises(UserError) as caught:
        make(given)
    assert str(caught.value).startswith(message)
