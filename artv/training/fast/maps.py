"""Group norm of channels-last maps with its gradients, and what comes before and after it.

Shape suffixes: B batch, C channels, H W feature size.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from artv.networks.fast.kernels.launching import launch_options, power_of_two

_PROGRAMS = 1024  # several for each of a large GPU's processors
_MOST_CHUNKS = 64  # parts of a map whose sums are taken apart
_FETCHED_ROWS = 32  # of such a part, at once


def group_norm(
    x_BCHW: Tensor,
    groups: int,
    weight_C: Tensor,
    bias_C: Tensor,
    eps: float,
    *,
    silu: bool = False,
    shift_BC: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``x`` as it is, for what goes past the norm, and the group norm of ``x + shift``, then SiLU if asked for."""
    x_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)
    return _GroupNorm.apply(x_BCHW, shift_BC, weight_C, bias_C, groups, eps, silu)


class _GroupNorm(Function):
    @staticmethod
    def forward(ctx, x, shift, weight, bias, groups, eps, silu):
        from artv.networks.fast.kernels import triton_maps as sampling

        (B, C, H, W), tile = x.shape, _Tile(x)
        block, fetched, per_chunk, chunks = tile.block, tile.fetched, tile.per_chunk, tile.chunks
        means, squares = torch.empty(2, B, chunks, C, dtype=torch.float32, device=x.device)
        factor, offset = torch.empty(2, B, C, dtype=torch.float32, device=x.device)
        statistics = torch.empty(3, B, C, dtype=torch.float32, device=x.device)
        y = torch.empty_like(x)
        sampling.channel_moments_kernel[(C // block, chunks, B)](
            *(x, x, means, squares, H * W, per_chunk, C, C),
            **{"ROWS": fetched, "COLUMNS": block, "JOINED": False, "num_warps": 4, **launch_options()},
        )
        _kernels().group_statistics_kernel[(groups, B)](
            *(means, squares, x if shift is None else shift, weight, bias, statistics, factor, offset),
            *(chunks, H * W, per_chunk, C, eps),
            **{"WIDTH": C // groups, "CHUNKS": power_of_two(chunks), "COLUMNS": power_of_two(C // groups)},
            SHIFTED=shift is not None,
        )
        sampling.channel_affine_kernel[(C // block, -(-H * W // tile.rows), B)](
            *(x, x, y, factor, offset, H * W, C, C),
            **{"ROWS": tile.rows, "COLUMNS": block, "JOINED": False, "SILU": silu, "num_warps": 8, **launch_options()},
        )
        ctx.save_for_backward(x, shift, weight, statistics, factor, offset)
        ctx.set_materialize_grads(False)
        ctx.groups, ctx.silu = groups, silu
        return x.view_as(x), y

    @staticmethod
    @once_differentiable
    def backward(ctx, d_passed, dy):
        x, shift, weight, statistics, factor, offset = ctx.saved_tensors
        (B, C, H, W), tile, groups = x.shape, _Tile(x), ctx.groups
        dy = dy.contiguous(memory_format=torch.channels_last)
        d_passed = None if d_passed is None else d_passed.contiguous(memory_format=torch.channels_last)
        sums = torch.empty(2, B, tile.chunks, C, dtype=torch.float32, device=x.device)
        slope, level = torch.empty(2, B, C, dtype=torch.float32, device=x.device)
        result, dx = torch.empty(3, B, C, dtype=torch.float32, device=x.device), torch.empty_like(x)
        kernels = _kernels()
        kernels.channel_gradient_sums_kernel[(C // tile.block, tile.chunks, B)](
            *(x, dy, factor, offset, sums, H * W, tile.per_chunk, C),
            **{"ROWS": tile.fetched, "COLUMNS": tile.block, "SILU": ctx.silu, "num_warps": 4},
        )
        kernels.group_gradients_kernel[(groups, B)](
            *(sums, statistics, factor, x if shift is None else shift, weight, slope, level, result),
            *(tile.chunks, H * W, C),
            **{"WIDTH": C // groups, "CHUNKS": power_of_two(tile.chunks), "COLUMNS": power_of_two(C // groups)},
            SHIFTED=shift is not None,
        )
        kernels.map_gradient_kernel[(C // tile.block, -(-H * W // tile.rows), B)](
            *(x, dy, x if d_passed is None else d_passed, factor, offset, slope, level, dx, H * W, C),
            **{"ROWS": tile.rows, "COLUMNS": tile.block, "SILU": ctx.silu, "PASSED": d_passed is not None},
            num_warps=8,
        )
        d_weight, d_bias = result[:2].sum(1).to(weight.dtype).unbind()
        return dx, None if shift is None else result[2].to(shift.dtype), d_weight, d_bias, None, None, None


class _Tile:
    """How a map is divided among programs: ``block`` channels of ``per_chunk`` positions, or of ``rows``."""

    def __init__(self, x_BCHW: Tensor) -> None:
        B, C, H, W = x_BCHW.shape
        self.block = min(C & -C, 128)
        self.rows = max(min(4096 // self.block, power_of_two(H * W)), 1)
        self.fetched = min(_FETCHED_ROWS, power_of_two(H * W))
        wanted = max(_PROGRAMS // (B * (C // self.block)), 1)
        chunks = min(wanted, _MOST_CHUNKS, -(-H * W // self.fetched))
        self.per_chunk = -(-H * W // (chunks * self.fetched)) * self.fetched
        self.chunks = -(-H * W // self.per_chunk)


@cache
def _kernels() -> Any:
    # Triton takes long to import, and CPUs never need it
    from artv.training.fast import triton_maps

    return triton_maps
