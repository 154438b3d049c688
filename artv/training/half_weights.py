"""A model's products in bfloat16: every weight of a product is converted at once, instead of where it is used.

Autocast converts each weight, and each gradient back, in a kernel of its own: some 2,500 of a step's 9,000. Values and
gradients are the same, bit for bit, except that a weight that is used twice (an adapter's) has its two gradients summed
in bfloat16. The weights that are trained stay float32.

Neighbouring weights are converted in groups, and a group's gradients are there as soon as the backward pass has gone
through it: several processes exchange them while it goes on.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_KINDS = (nn.Linear, nn.Conv2d)  # what autocast runs in bfloat16
_GROUP = 2**24  # numbers: few enough that the exchange of one hides behind the backward pass of the next
_AT_ONCE = 2**63  # the engine runs what is ready in the order of these numbers, and an early operation's is low


class HalfWeights:
    """Holds the bfloat16 values of a model's matrices and convolution kernels, and their memory from step to step.

    Args:
        group: how many numbers are converted at once, at least.
    """

    def __init__(self, model: nn.Module, group: int = _GROUP) -> None:
        modules = [module for module in model.modules() if isinstance(module, _KINDS)]
        self._modules = [module for module in modules if module.weight.dtype == torch.float32]
        weights = dict.fromkeys(module.weight for module in self._modules)  # one may be in two places
        self._groups = [
            (weights, [torch.empty_like(weight, dtype=torch.bfloat16) for weight in weights])
            for weights in _groups(weights, group)
        ]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the modules have the converted weights, through which gradients reach the model's own."""
        halves: dict[Tensor, Any] = {}
        for weights, held in self._groups:
            converted = _Converted.apply(held, *weights)
            if converted[0].grad_fn is not None:  # of weights that are trained
                converted[0].grad_fn._set_sequence_nr(_AT_ONCE)
            halves |= zip(weights, converted, strict=True)
        own: list[Any] = [module.weight for module in self._modules]
        try:
            for module in self._modules:
                module._parameters["weight"] = halves[module.weight]
            yield
        finally:
            for module, weight in zip(self._modules, own, strict=True):
                module._parameters["weight"] = weight


def _groups(weights: Iterable[Tensor], size: int) -> Iterator[list[Tensor]]:
    group: list[Tensor] = []
    for weight in weights:
        group.append(weight)
        if sum(each.numel() for each in group) >= size:
            yield group
            group = []
    if group:
        yield group


class _Converted(Function):
    @staticmethod
    def forward(ctx: Any, held: list[Tensor], *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        torch._foreach_copy_(held, weights)
        return tuple(half.view_as(half) for half in held)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        given = [gradient for gradient in gradients if gradient is not None]
        found = [torch.empty_like(gradient, dtype=torch.float32) for gradient in given]
        torch._foreach_copy_(found, given)
        each = iter(found)
        return None, *(None if gradient is None else next(each) for gradient in gradients)
