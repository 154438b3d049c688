"""Fused operations that PyTorch runs as several: norms with what comes before and after them, and GEGLU.

On CUDA they are Triton kernels; elsewhere, and with :data:`ENABLED` off, PyTorch's own operations. PyTorch's CUDA group
norm knows no channels-last: it copies the map to another layout, and the next convolution copies it back. Its
convolutions add their bias in a pass of its own.

Shape suffixes: B batch, C channels, H W feature size, N tokens, D width.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ENABLED = find_spec("triton") is not None
"""Turn off to compare with PyTorch's operations."""

_TILE = 16384  # values of a group that one program holds in registers


def group_norm(
    x_BCHW: Tensor,
    groups: int,
    weight_C: Tensor,
    bias_C: Tensor,
    eps: float,
    *,
    silu: bool = False,
    shift_C: Tensor | None = None,
) -> Tensor:
    """Group norm of ``x + shift``, then SiLU if asked for; statistics in float32. Channels-last stays channels-last."""
    if fuses(x_BCHW):
        return _launch_group_norm(x_BCHW, groups, weight_C, bias_C, eps, silu, shift_C)
    if shift_C is not None:
        x_BCHW = x_BCHW + shift_C.view(-1, 1, 1)
    y = torch.group_norm(x_BCHW, groups, weight_C, bias_C, eps)
    return F.silu(y, inplace=True) if silu else y


def add_layer_norm(
    x_BND: Tensor, delta_BND: Tensor, weight_D: Tensor, bias_D: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """``x + delta`` and its layer norm; statistics in float32. Changes ``x`` in place."""
    if ENABLED and x_BND.is_cuda and x_BND.is_contiguous() and delta_BND.is_contiguous():
        return x_BND, _launch_layer_norm(x_BND, weight_D, bias_D, eps, delta_BND)
    x_BND = x_BND.add_(delta_BND)
    return x_BND, torch.layer_norm(x_BND, weight_D.shape, weight_D, bias_D, eps)


def layer_norm(x_BND: Tensor, weight_D: Tensor, bias_D: Tensor, eps: float) -> Tensor:
    """Layer norm over the last axis; statistics in float32."""
    if ENABLED and x_BND.is_cuda and x_BND.is_contiguous():
        return _launch_layer_norm(x_BND, weight_D, bias_D, eps, None)
    return torch.layer_norm(x_BND, weight_D.shape, weight_D, bias_D, eps)


def add_shifted(x_BCHW: Tensor, y_BCHW: Tensor, shift_C: Tensor) -> Tensor:
    """``x + shift + y``. Changes ``x`` in place."""
    if fuses(x_BCHW) and fuses(y_BCHW):
        return _launch_add_shifted(x_BCHW, y_BCHW, shift_C)
    return x_BCHW.add_(shift_C.view(-1, 1, 1)).add_(y_BCHW)


def geglu(x_BNE: Tensor) -> Tensor:
    """The first half of the last axis (2·D) times the GELU of the second."""
    if ENABLED and x_BNE.is_cuda and x_BNE.is_contiguous():
        return _launch_geglu(x_BNE)
    value, gate = x_BNE.chunk(2, dim=-1)
    return value * F.gelu(gate)


def fuses(x_BCHW: Tensor) -> bool:
    """Whether operations on this map run as Triton kernels."""
    return ENABLED and x_BCHW.is_cuda and x_BCHW.is_contiguous(memory_format=torch.channels_last)


def _launch_group_norm(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, silu: bool, shift: Tensor | None
) -> Tensor:
    B, C, H, W = x.shape
    width = C // groups
    columns = _power_of_two(width)
    rows = min(_power_of_two(H * W), max(16, _TILE // columns))
    y = torch.empty_like(x)
    _kernels().group_norm_kernel[(groups, B)](
        x,
        y,
        weight,
        bias,
        x if shift is None else shift,
        H * W,
        C,
        eps,
        WIDTH=width,
        ROWS=rows,
        COLUMNS=columns,
        ONE_TILE=rows >= H * W,
        SHIFTED=shift is not None,
        SILU=silu,
        num_warps=16 if rows * columns > 8192 else 8 if rows * columns > 2048 else 4,
    )
    return y


def _launch_layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, delta: Tensor | None) -> Tensor:
    D = x.shape[-1]
    columns = _power_of_two(D)
    rows = max(1, 2048 // columns)
    count = x.numel() // D
    y = torch.empty_like(x)
    _kernels().layer_norm_kernel[(-(-count // rows),)](
        x,
        x if delta is None else delta,
        y,
        weight,
        bias,
        count,
        eps,
        WIDTH=D,
        ROWS=rows,
        COLUMNS=columns,
        ADD=delta is not None,
        num_warps=4,
    )
    return y


def _launch_add_shifted(x: Tensor, y: Tensor, shift: Tensor) -> Tensor:
    block = 4096
    grid = (-(-x.numel() // block),)
    _kernels().add_shifted_kernel[grid](x, y, shift, x.numel(), x.shape[1], BLOCK=block, num_warps=8)
    return x


def _launch_geglu(x: Tensor) -> Tensor:
    D = x.shape[-1] // 2
    y = x.new_empty(*x.shape[:-1], D)
    block = min(1024, _power_of_two(D))
    _kernels().geglu_kernel[(x.numel() // (2 * D), -(-D // block))](x, y, D, BLOCK=block)
    return y


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()


@cache
def _kernels() -> Any:
    """Imported on first use: Triton takes long to import, and CPUs never need it."""
    from artv.networks import triton_kernels

    return triton_kernels
