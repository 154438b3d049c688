"""Rules of masks by value, at their edges, and where rules meet: constant 0 and 1, hard at 0 and 1."""

import math

import pytest
import torch

from artv.errors import UserError
from artv.mask_rules import MASK_RULES, Constant, Hard, Late, Learned, mask_rule

MASK = torch.linspace(0, 1, 12).view(1, 1, 3, 4)


@pytest.mark.parametrize("sigma", [0.0, 0.03, 14.6])
def test_the_learned_one_is_as_predicted(sigma):
    assert Learned()(MASK, sigma) is MASK


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.5, 0.99, 1.0])
def test_a_hard_one_copies_above_its_threshold_only(threshold):
    found = Hard(threshold=threshold)(MASK, 1.0)
    assert found.flatten().tolist() == [float(value > threshold) for value in MASK.flatten().tolist()]
    assert torch.equal(Hard(threshold=threshold)(found, 1.0), found if threshold < 1 else torch.zeros_like(found))


@pytest.mark.parametrize("level", [0, 0.3, 1])
def test_a_constant_one_does_not_look(level):
    found = Constant(level=level)(MASK, 1.0)
    assert found.shape == MASK.shape and (found == level).all()


@pytest.mark.parametrize(("sigma", "copies"), [(14.6, False), (5.001, False), (5.0, True), (0.03, True)])
def test_a_late_one_begins_at_its_level(sigma, copies):
    assert torch.equal(Late(below=5.0)(MASK, sigma), MASK if copies else torch.zeros_like(MASK))


@pytest.mark.parametrize("name", MASK_RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_rule_keeps_shape_precision_range_and_the_mask_it_was_given(name, dtype):
    mask = MASK.to(dtype)
    before = mask.clone()
    for sigma in (0.03, 1.0, 14.6):
        found = mask_rule(name)(mask, sigma)
        assert found.shape == mask.shape and found.dtype == dtype
        assert (found >= 0).all() and (found <= 1).all() and torch.equal(mask, before)


@pytest.mark.parametrize("given", [{"threshold": 1.01}, {"threshold": -0.1}, {"threshold": math.nan}])
def test_thresholds_that_are_no_share(given):
    with pytest.raises(UserError, match="mask hard: threshold is"):
        mask_rule({"name": "hard", **given})


def test_levels_that_are_no_share():
    with pytest.raises(UserError, match=r"mask constant: level is 2; it must be a number in \[0, 1\]"):
        Constant(level=2)
