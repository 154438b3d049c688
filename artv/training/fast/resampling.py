"""Halving and doubling of channels-last maps: one pass over memory each way, in the dtype that comes in.

PyTorch's autocast doubles maps in float32, diffusers in another layout from 64 samples on; its pooling of channels-last
maps, and the gradient of that, take ten times as long as their memory does. Each of the two is the other's gradient,
but for a factor.

Shape suffixes: B batch, C channels, H W feature size.
"""

from functools import cache
from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from artv.training.fast.sums import row_tile


def double(x_BCHW: Tensor) -> Tensor:
    """Nearest neighbours: (B, C, H, W) to (B, C, 2·H, 2·W)."""
    return _Double.apply(x_BCHW)


def halve(x_BCHW: Tensor) -> Tensor:
    """Means of 2 × 2 positions; H and W are even."""
    return _Halve.apply(x_BCHW)


class _Double(Function):
    @staticmethod
    def forward(ctx, x):
        return _repeated(x, 1.0)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        return _sums(dy, 1.0)


class _Halve(Function):
    @staticmethod
    def forward(ctx, x):
        return _sums(x, 0.25)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        return _repeated(dy, 0.25)


def _sums(x_BCHW: Tensor, factor: float) -> Tensor:
    B, C, H, W = x_BCHW.shape
    x_BHWC = x_BCHW.permute(0, 2, 3, 1).contiguous()
    y_BHWC = x_BHWC.new_empty(B, H // 2, W // 2, C)
    _launch(_kernels().halve_kernel, x_BHWC, y_BHWC, factor, y_BHWC)
    return y_BHWC.permute(0, 3, 1, 2)


def _repeated(x_BCHW: Tensor, factor: float) -> Tensor:
    B, C, H, W = x_BCHW.shape
    x_BHWC = x_BCHW.permute(0, 2, 3, 1).contiguous()
    y_BHWC = x_BHWC.new_empty(B, 2 * H, 2 * W, C)
    _launch(_kernels().double_kernel, x_BHWC, y_BHWC, factor, x_BHWC)
    return y_BHWC.permute(0, 3, 1, 2)


def _launch(kernel: Any, x_BHWC: Tensor, y_BHWC: Tensor, factor: float, smaller_BHWC: Tensor) -> None:
    wide, width = smaller_BHWC.shape[2:]
    count, rows, columns = row_tile(smaller_BHWC)
    kernel[(-(-count // rows), -(-width // columns))](
        x_BHWC, y_BHWC, factor, count, wide, width, ROWS=rows, COLUMNS=columns, num_warps=4
    )


@cache
def _kernels() -> Any:
    # Triton takes long to import, and CPUs never need it
    from artv.training.fast import triton_resampling

    return triton_resampling
