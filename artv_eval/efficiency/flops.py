"""Multiply–accumulates of a forward pass, counted on meta tensors: no weights, no device, no time.

Two counts. ``linear_conv`` is the convention of the paper's Table 2, whose "FLOPs" are the multiply–accumulates of
Linear and Conv modules only. ``full`` counts every matrix product and convolution that runs, attention included.
One multiply–accumulate is two floating-point operations.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True, kw_only=True)
class Macs:
    """Multiply–accumulates. ``linear_conv``: modules of those kinds only. ``full``: with attention and the rest."""

    linear_conv: int = 0
    full: int = 0

    def __add__(self, other: "Macs") -> "Macs":
        return Macs(linear_conv=self.linear_conv + other.linear_conv, full=self.full + other.full)

    def __mul__(self, times: int) -> "Macs":
        return Macs(linear_conv=self.linear_conv * times, full=self.full * times)


def count_macs(module: nn.Module, run: Callable[[], Any] | None = None, *inputs: Any) -> Macs:
    """Counts ``module(*inputs)``, or ``run()`` if given, which may call parts of ``module`` in any way.

    Module and inputs should be on the meta device: accelerators replace attention by fused operations of many names.
    """
    with torch.no_grad(), _module_hooks(module) as modules, _ProductCounter() as products:
        module(*inputs) if run is None else run()
    return Macs(linear_conv=modules[0], full=products.total)


def module_macs(module: nn.Module, inputs: Sequence[Any], output: Any) -> int:
    """Multiply–accumulates of one Linear or Conv module for one call; 0 for any other module."""
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    if isinstance(module, _CONVS):
        return output.numel() * (module.in_channels // module.groups) * prod(module.kernel_size)
    if isinstance(module, _TRANSPOSED):
        return inputs[0].numel() * (module.out_channels // module.groups) * prod(module.kernel_size)
    return 0


@contextmanager
def _module_hooks(root: nn.Module) -> Iterator[list[int]]:
    total = [0]

    def add(module: nn.Module, inputs: Any, output: Any) -> None:
        total[0] += module_macs(module, inputs, output)

    handles = [
        module.register_forward_hook(add)
        for module in root.modules()
        if isinstance(module, (nn.Linear, *_CONVS, *_TRANSPOSED))
    ]
    try:
        yield total
    finally:
        for handle in handles:
            handle.remove()


class _ProductCounter(TorchDispatchMode):
    """Sees every operation that runs, after composite ones have come apart, and adds up the products."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_shape = _SHAPES.get(name) if args and isinstance(args[0], Tensor) and args[0].is_meta else None
        result = by_shape(args) if by_shape else func(*args, **(kwargs or {}))
        if name in _PRODUCTS:
            self.total += _PRODUCTS[name](args, result)
        elif "scaled_dot_product" in name and "backward" not in name:
            self.total += _attention(*args[:3])
        return result


def _matmul(a: Tensor, b: Tensor) -> int:
    return a.numel() * b.shape[-1]


def _convolution(args: Any, result: Tensor) -> int:
    x, weight, transposed = args[0], args[1], args[6]
    return (x if transposed else result).numel() * prod(weight.shape[1:])


def _attention(q: Tensor, k: Tensor, v: Tensor) -> int:
    pairs = prod(q.shape[:-1]) * k.shape[-2]  # every query with every key, whatever a mask hides
    return pairs * (q.shape[-1] + v.shape[-1])


# On meta tensors only shapes matter, and torch derives those of a few operations by walking through dozens of others:
# answering for them makes the count three times as fast.
_SHAPES: dict[str, Callable[[Any], Any]] = {
    "native_layer_norm": lambda args: (torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)),
    "native_group_norm": lambda args: (torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)),
    "_safe_softmax": lambda args: torch.empty_like(args[0]),
    "addmm": lambda args: args[1].new_empty(args[1].shape[0], args[2].shape[1]),
}

_PRODUCTS: dict[str, Callable[[Any, Any], int]] = {
    "mm": lambda args, result: _matmul(args[0], args[1]),
    "bmm": lambda args, result: _matmul(args[0], args[1]),
    "addmm": lambda args, result: _matmul(args[1], args[2]),
    "baddbmm": lambda args, result: _matmul(args[1], args[2]),
    "mv": lambda args, result: args[0].numel(),
    "dot": lambda args, result: args[0].numel(),
    "convolution": _convolution,
}
