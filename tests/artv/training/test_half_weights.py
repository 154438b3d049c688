"""Weights converted in one pass train exactly as under autocast, which converts each where it is used."""

import copy
from contextlib import nullcontext

import torch
from torch import nn

from artv.training.half_weights import HalfWeights


class Small(nn.Module):
    """A convolution, a norm, a product, and one product that the loss does not reach."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8)
        self.out, self.unused = nn.Linear(8, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.out(self.norm(self.conv(x)).mean((2, 3)))


def step(model: nn.Module, halves: HalfWeights | None, x: torch.Tensor) -> torch.Tensor:
    with nullcontext() if halves is None else halves.in_place():
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            loss = model(x).float().square().mean()
        loss.backward()
    return loss.detach()


def test_loss_and_gradients_are_autocasts_own():
    torch.manual_seed(0)
    ours = Small().to(memory_format=torch.channels_last)
    theirs, weights = copy.deepcopy(ours), dict(ours.named_parameters())
    halves = HalfWeights(ours)
    for _ in range(2):  # the second adds to the gradients
        x = torch.randn(4, 3, 6, 6)
        assert torch.equal(step(ours, halves, x), step(theirs, None, x))
    assert dict(ours.named_parameters()) == weights and ours.unused.weight.grad is None
    for parameter, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert parameter.grad is expected.grad is None or torch.equal(parameter.grad, expected.grad)
        assert parameter.grad is None or parameter.grad.dtype == torch.float32


def test_after_an_error_the_model_has_its_own_weights():
    model = Small()
    weights = list(model.parameters())
    try:
        with HalfWeights(model).in_place():
            assert model.out.weight.dtype == torch.bfloat16 and model.out.bias.dtype == torch.float32
            raise ValueError
    except ValueError:
        assert all(a is b for a, b in zip(model.parameters(), weights, strict=True))
