"""Weights converted in one pass train exactly as under autocast, which converts each where it is used."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from artv.training.half_weights import HalfLeaves, HalfWeights


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
    if halves is not None:
        halves.hand_over()
    return loss.detach()


@pytest.mark.parametrize("group", [1, 20, 2**24])
def test_loss_and_gradients_are_autocasts_own(group):
    torch.manual_seed(0)
    ours = Small().to(memory_format=torch.channels_last)
    theirs, weights = copy.deepcopy(ours), dict(ours.named_parameters())
    halves = HalfWeights(ours, group)
    for _ in range(2):  # the second adds to the gradients
        x = torch.randn(4, 3, 6, 6)
        assert torch.equal(step(ours, halves, x), step(theirs, None, x))
    assert dict(ours.named_parameters()) == weights and ours.unused.weight.grad is None
    for parameter, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert parameter.grad is expected.grad is None or torch.equal(parameter.grad, expected.grad)
        assert parameter.grad is None or parameter.grad.dtype == torch.float32


def test_gradients_of_late_layers_are_there_before_the_backward_pass_reaches_early_ones():
    """What several processes exchange meanwhile. In one group all would come at the end."""

    def order(group):
        seen, model = [], nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
        for number, layer in enumerate(model):
            layer.register_full_backward_pre_hook(lambda *_, n=number: seen.append(f"backward {n}"))
            layer.weight.register_post_accumulate_grad_hook(lambda *_, n=number: seen.append(f"gradient {n}"))
        step(model, HalfWeights(model, group), torch.randn(2, 4))
        return seen

    assert order(1) == [f"{what} {layer}" for layer in (2, 1, 0) for what in ("backward", "gradient")]
    assert order(2**24)[:3] == ["backward 2", "backward 1", "backward 0"]


def test_frozen_weights_stay_without_gradients():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[0].requires_grad_(False)
    step(model, HalfWeights(model, 1), torch.randn(2, 4))
    assert model[0].weight.grad is None and model[1].weight.grad is not None


def test_after_an_error_the_model_has_its_own_weights():
    model = Small()
    weights = list(model.parameters())
    try:
        with HalfWeights(model).in_place():
            assert model.out.weight.dtype == torch.bfloat16 and model.out.bias.dtype == torch.float32
            raise ValueError
    except ValueError:
        assert all(a is b for a, b in zip(model.parameters(), weights, strict=True))


def test_leaves_collect_gradients_in_bfloat16_which_become_those_of_the_weights():
    torch.manual_seed(0)
    ours = Small().to(memory_format=torch.channels_last)
    ours.conv.weight.requires_grad_(False)
    theirs, halves = copy.deepcopy(ours), HalfLeaves(ours)
    with halves.exposed():
        seen = {name: p.dtype for name, p in ours.named_parameters() if p.requires_grad}
    assert seen["out.weight"] == torch.bfloat16 and seen["out.bias"] == torch.float32 and "conv.weight" not in seen
    for _ in range(2):
        ours.out.weight.grad = None
        theirs.out.weight.grad = None
        x = torch.randn(4, 3, 6, 6)
        assert torch.equal(step(ours, halves, x), step(theirs, None, x))
        for parameter, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert parameter.grad is expected.grad is None or torch.equal(parameter.grad, expected.grad)
        with torch.no_grad():
            for model in (ours, theirs):  # the next step sees the weights as they are then
                model.out.weight.sub_(model.out.weight.grad)


def test_leaves_sum_micro_batches_in_bfloat16():
    model, x = nn.Linear(2, 1, bias=False), torch.tensor([[1.0, 0.0]])
    halves = HalfLeaves(model)
    for value in (256.0, 1.0):
        with halves.in_place():
            (model(x.bfloat16()).sum() * value).backward()
    halves.hand_over()
    assert model.weight.grad.tolist() == [[256.0, 0.0]]  # 257 takes a bit more than there is


def test_leaves_that_are_kept_are_not_converted_again():
    model = nn.Linear(2, 2)
    halves = HalfLeaves(model)
    (leaf,) = halves.keep().values()
    assert torch.equal(leaf, model.weight.bfloat16())
    with torch.no_grad():
        model.weight.zero_()
    step(model, halves, torch.randn(1, 2))
    assert leaf.any() and leaf.grad is not None and model.weight.grad is None
