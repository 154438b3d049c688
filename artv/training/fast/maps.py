"""Group norm of channels-last maps with its gradients, and what comes before and after it.

Shape suffixes: B batch, C channels, H W feature size.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from artv.networks.fast.kernels.launching import launch_options, power_of_two
from artv.training.fast.sums import finished

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
    y_BCHW, x_BCHW = _GroupNorm.apply(shift_BC, weight_C, bias_C, groups, eps, silu, x_BCHW)
    return x_BCHW, y_BCHW


def joined_group_norm(
    maps_BCHW: Sequence[Tensor], groups: int, weight_C: Tensor, bias_C: Tensor, eps: float, *, silu: bool = False
) -> tuple[tuple[Tensor, ...], Tensor]:
    """The same for two maps, each with some of the channels, that are never put together but in the norm."""
    maps_BCHW = [x.contiguous(memory_format=torch.channels_last) for x in maps_BCHW]
    y_BCHW, *passed = _GroupNorm.apply(None, weight_C, bias_C, groups, eps, silu, *maps_BCHW)
    return tuple(passed), y_BCHW


class _GroupNorm(Function):
    @staticmethod
    def forward(ctx, shift, weight, bias, groups, eps, silu, x, skip=None):
        from artv.networks.fast.kernels import triton_maps as sampling

        tile, maps = _Tile(x, skip), (x, x if skip is None else skip)
        B, C, positions = tile.samples, tile.channels, tile.positions
        means, squares = torch.empty(2, B, tile.chunks, C, dtype=torch.float32, device=x.device)
        factor, offset = torch.empty(2, B, C, dtype=torch.float32, device=x.device)
        statistics = torch.empty(3, B, C, dtype=torch.float32, device=x.device)
        y = torch.empty(B, C, *x.shape[2:], dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        options = {"COLUMNS": tile.block, "JOINED": skip is not None, **launch_options()}
        sampling.channel_moments_kernel[(C // tile.block, tile.chunks, B)](
            *(*maps, means, squares, positions, tile.per_chunk, x.shape[1], C),
            ROWS=tile.fetched,
            num_warps=4,
            **options,
        )
        _kernels().group_statistics_kernel[(groups, B)](
            *(means, squares, x if shift is None else shift, weight, bias, statistics, factor, offset),
            *(tile.chunks, positions, tile.per_chunk, C, eps),
            **{"WIDTH": C // groups, "CHUNKS": power_of_two(tile.chunks), "COLUMNS": power_of_two(C // groups)},
            SHIFTED=shift is not None,
        )
        sampling.channel_affine_kernel[(C // tile.block, -(-positions // tile.rows), B)](
            *(*maps, y, factor, offset, positions, x.shape[1], C), ROWS=tile.rows, SILU=silu, num_warps=8, **options
        )
        ctx.save_for_backward(shift, weight, statistics, factor, offset, x, skip)
        ctx.set_materialize_grads(False)
        ctx.groups, ctx.silu = groups, silu
        return y, *(part.view_as(part) for part in (x, skip) if part is not None)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy, *d_passed):
        shift, weight, statistics, factor, offset, x, skip = ctx.saved_tensors
        tile, groups, parts = _Tile(x, skip), ctx.groups, [x] if skip is None else [x, skip]
        dy = dy.contiguous(memory_format=torch.channels_last)
        B, C, positions = tile.samples, tile.channels, tile.positions
        sums = torch.empty(2, B, tile.chunks, C, dtype=torch.float32, device=x.device)
        slope, level = torch.empty(2, B, C, dtype=torch.float32, device=x.device)
        result = torch.empty(3, B, C, dtype=torch.float32, device=x.device)
        kernels, options = _kernels(), {"COLUMNS": tile.block, "SILU": ctx.silu}
        for first, part in zip((0, x.shape[1]), parts, strict=False):
            kernels.channel_gradient_sums_kernel[(part.shape[1] // tile.block, tile.chunks, B)](
                *(part, dy, factor, offset, sums, positions, tile.per_chunk, first, part.shape[1], C),
                **{"ROWS": tile.fetched, "num_warps": 4, **options},
            )
        kernels.group_gradients_kernel[(groups, B)](
            *(sums, statistics, factor, x if shift is None else shift, weight, slope, level, result),
            *(tile.chunks, positions, C),
            **{"WIDTH": C // groups, "CHUNKS": power_of_two(tile.chunks), "COLUMNS": power_of_two(C // groups)},
            SHIFTED=shift is not None,
        )
        gradients = []
        for first, part, passed in zip((0, x.shape[1]), parts, d_passed, strict=False):
            d_part = torch.empty_like(part)
            past = part if passed is None else passed.contiguous(memory_format=torch.channels_last)
            kernels.map_gradient_kernel[(part.shape[1] // tile.block, -(-positions // tile.rows), B)](
                *(part, dy, past, factor, offset, slope, level, d_part, positions, first, part.shape[1], C),
                **{"ROWS": tile.rows, "PASSED": passed is not None, "num_warps": 8, **options},
            )
            gradients.append(d_part)
        d_weight, d_bias = finished(result[:2]).to(weight.dtype).unbind()
        d_shift = None if shift is None else result[2].to(shift.dtype)
        return d_shift, d_weight, d_bias, None, None, None, *gradients


class _Tile:
    """How a map, or two with some channels each, are divided among programs: ``block`` channels of ``per_chunk``
    positions, or of ``rows``.
    """

    def __init__(self, x_BCHW: Tensor, skip_BCHW: Tensor | None) -> None:
        self.samples, C, H, W = x_BCHW.shape
        skipped = 0 if skip_BCHW is None else skip_BCHW.shape[1]
        self.channels, self.positions, shared = C + skipped, H * W, math.gcd(C, skipped)
        self.block = min(shared & -shared, 128)
        self.rows = max(min(4096 // self.block, power_of_two(H * W)), 1)
        self.fetched = min(_FETCHED_ROWS, power_of_two(H * W))
        wanted = max(_PROGRAMS // (self.samples * (self.channels // self.block)), 1)
        chunks = min(wanted, _MOST_CHUNKS, -(-H * W // self.fetched))
        self.per_chunk = -(-H * W // (chunks * self.fetched)) * self.fetched
        self.chunks = -(-H * W // self.per_chunk)


@cache
def _kernels() -> Any:
    # Triton takes long to import, and CPUs never need it
    from artv.training.fast import triton_maps

    return triton_maps
