"""A model's products in bfloat16: every weight of a product is converted at once, instead of where it is used.

Autocast converts each weight, and each gradient back, in a kernel of its own: some 2,500 of a step's 9,000. Values and
gradients are the same, bit for bit, except that a weight that is used twice (an adapter's) has its two gradients summed
in bfloat16. The weights that are trained stay float32.

Neighbouring weights are converted in groups, and a group's gradients are there as soon as the backward pass has gone
through it: several processes exchange them while it goes on. Or they exchange the gradients in bfloat16, as the
products give them (:class:`HalfLeaves`): half as many bytes, and no more conversions than one process makes.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
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
        weights: dict[Any, None] = dict.fromkeys(module.weight for module in self._modules)  # one may be in two places
        self._groups = [
            (weights, [torch.empty_like(weight, dtype=torch.bfloat16) for weight in weights])
            for weights in _groups(weights, group)
        ]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the modules have the converted weights, through which gradients reach the model's own."""
        halves = self._converted()
        own: list[Any] = [module.weight for module in self._modules]
        try:
            for module in self._modules:
                module._parameters["weight"] = halves[module.weight]
            yield
        finally:
            for module, weight in zip(self._modules, own, strict=True):
                module._parameters["weight"] = weight

    def exposed(self) -> AbstractContextManager:
        """Within it the model has the parameters whose gradients several processes are to exchange."""
        return nullcontext()

    def hand_over(self) -> None:
        """Gives the model's own weights what gradients are not theirs yet; called once a step, after it."""

    def _converted(self) -> dict[Tensor, Any]:
        halves: dict[Tensor, Any] = {}
        for weights, held in self._groups:
            converted = _Converted.apply(held, *weights)
            if converted[0].grad_fn is not None:  # of weights that are trained
                converted[0].grad_fn._set_sequence_nr(_AT_ONCE)
            halves |= zip(weights, converted, strict=True)
        return halves


class HalfLeaves(HalfWeights):
    """The converted weights are parameters themselves, so that what exchanges gradients sees theirs, in bfloat16.

    They are summed in bfloat16 as well, over processes and over a step's micro-batches, and become float32 once, for
    the optimiser. What wraps the model for several processes does not see the weights that are trained, so that these
    are given the main process's values here.

    Attributes:
        kept: whether the leaves are kept up to date, and their gradients read, by whatever updates the weights.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._leaves: dict[Any, nn.Parameter] = {
            weight: nn.Parameter(half, requires_grad=weight.requires_grad)
            for weights, held in self._groups
            for weight, half in zip(weights, held, strict=True)
        }
        self.kept = False
        for weight in self._leaves if dist.is_initialized() else ():
            dist.broadcast(weight.detach(), 0)

    def keep(self) -> dict[nn.Parameter, nn.Parameter]:
        """The leaves by their weights, for an update that reads their gradients and keeps them up to date: neither is
        converted here from now on.
        """
        self._converted()
        self.kept = True
        return {weight: leaf for weight, leaf in self._leaves.items() if leaf.requires_grad}

    def exposed(self) -> AbstractContextManager:
        """The same as where they are used."""
        return self.in_place()

    @torch.no_grad()
    def hand_over(self) -> None:
        """Converts the gradients."""
        given = {weight: leaf.grad for weight, leaf in self._leaves.items() if leaf.grad is not None}
        if given and not self.kept:
            found = [torch.empty_like(weight) for weight in given]
            torch._foreach_copy_(found, list(given.values()))
            for weight, gradient in zip(given, found, strict=True):
                weight.grad, self._leaves[weight].grad = gradient, None

    @torch.no_grad()
    def _converted(self) -> dict[Tensor, Any]:
        if not self.kept:
            torch._foreach_copy_(list(self._leaves.values()), list(self._leaves))
        return dict(self._leaves)


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
