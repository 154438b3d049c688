"""The average of the weights, against the closed form of the recursion."""

import pytest
import torch
from torch import nn

from artv.training.ema import Ema


def linear(value):
    layer = nn.Linear(2, 1)
    for parameter in layer.parameters():
        nn.init.constant_(parameter, value)
    return layer


def test_the_average_after_some_steps_is_the_weighted_sum():
    model = linear(1.0)
    ema = Ema(model, decay=0.5)
    expected = 1.0
    for step, value in enumerate((3.0, -2.0, 8.0)):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
        ema.update(ema.weight(step))
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value
        assert all(torch.allclose(p, torch.full_like(p, expected)) for p in ema.model.parameters())
    assert all(torch.equal(p, torch.full_like(p, 8.0)) for p in model.parameters()), "the model is left alone"


@pytest.mark.parametrize(("step", "weight"), [(0, 0.9), (1, 9 / 11), (90, 0.09), (10**7, 1e-4)])
def test_early_averages_follow_quickly_and_late_ones_slowly(step, weight):
    assert Ema(linear(0.0)).weight(step) == pytest.approx(weight)


def test_the_average_is_not_trained():
    ema = Ema(linear(1.0))
    assert not ema.model.training and not any(p.requires_grad for p in ema.model.parameters())
