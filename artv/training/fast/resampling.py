"""Halving and doubling of channels-last maps: one pass over memory each way, in the dtype that comes in.

PyTorch's autocast doubles maps in float32, diffusers in another layout from 64 samples on; the gradient of PyTorch's
pooling goes over a channels-last map position by position. Each of the two is the other's gradient, but for a factor.

Shape suffixes: B batch, C channels, H W feature size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def double(x_BCHW: Tensor) -> Tensor:
    """Nearest neighbours: (B, C, H, W) to (B, C, 2·H, 2·W)."""
    return _Double.apply(x_BCHW)


def halve(x_BCHW: Tensor) -> Tensor:
    """Means of 2 × 2 positions; H and W are even."""
    return _Halve.apply(x_BCHW)


class _Double(Function):
    @staticmethod
    def forward(ctx, x):
        return _repeated(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        return _sums(dy, 1)


class _Halve(Function):
    @staticmethod
    def forward(ctx, x):
        return _sums(x, 4)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        return _repeated(dy * 0.25)


def _sums(x_BCHW: Tensor, divisor: int) -> Tensor:
    x_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)
    return F.avg_pool2d(x_BCHW, 2, divisor_override=divisor)


def _repeated(x_BCHW: Tensor) -> Tensor:
    B, C, H, W = x_BCHW.shape
    y_BHhWwC = x_BCHW.new_empty(B, H, 2, W, 2, C)
    y_BHhWwC.copy_(x_BCHW.permute(0, 2, 3, 1)[:, :, None, :, None])
    return y_BHhWwC.view(B, 2 * H, 2 * W, C).permute(0, 3, 1, 2)
