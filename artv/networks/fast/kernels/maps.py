"""Operations on channels-last maps: group norm with what comes before and after it, patches, additions.

Shape suffixes: B batch, C channels, H W feature size, M positions of all samples.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.networks.fast.kernels.launching import block_of, launch_options, power_of_two, runs_on

_TILE = 32768  # values of a group that one program holds in registers
_PATCHES_TILE = 16384  # values, if it stores them nine times
_SMALL_MAP = 2**21  # values; larger ones are read in whole lines, by three kernels instead of one
_PROGRAMS = 1024  # of a kernel that goes over a map: several for each of a large GPU's processors
_MOST_CHUNKS = 64  # parts of a map whose moments are taken apart
_FETCHED_ROWS = 32  # of such a part, at once
_FEW_POSITIONS = 2048  # of all samples: cuDNN's convolutions of so few leave most of a large GPU idle, products do not
_FEW_UPSAMPLED = 8192
_MANY_CHANNELS = 1280  # of a map of few positions, or half as many of one that is upsampled

_EVERY = 2**30


class Shift(NamedTuple):
    """A value a channel that is added to a map: ``values[0]`` to its first ``first`` samples, ``values[1]`` to others.

    ``values``: (2, C), or (1, C) where all samples get the same.
    """

    values: Tensor
    first: int = _EVERY

    @classmethod
    def same(cls, values_C: Tensor) -> "Shift":
        """One for all samples."""
        return cls(values_C.view(1, -1))

    def like(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, 1, 1), to be added."""
        B = x_BCHW.shape[0]
        return self.values[(torch.arange(B, device=x_BCHW.device) >= self.first).long()].view(B, -1, 1, 1)


class Moments(NamedTuple):
    """Each channel's mean and sum of squared deviations over chunks of a sample's positions, ``rows`` in each but the
    last: float32 (B, chunks, C).
    """

    means: Tensor
    squares: Tensor
    rows: int


def group_norm(
    x_BCHW: Tensor,
    groups: int,
    weight_C: Tensor,
    bias_C: Tensor,
    eps: float,
    *,
    silu: bool = False,
    shift: Shift | None = None,
    skip_BCHW: Tensor | None = None,
    moments: Moments | None = None,
) -> Tensor:
    """Group norm of ``x`` (its channels followed by those of ``skip``) plus ``shift``, then SiLU if asked for.

    Statistics in float32. Channels-last stays channels-last. ``moments``: of ``x``, where they are known.
    """
    if fuses(x_BCHW):
        return _launch_group_norm(x_BCHW, skip_BCHW, groups, weight_C, bias_C, eps, silu, shift, moments=moments)
    x_BCHW = x_BCHW if skip_BCHW is None else torch.cat([x_BCHW, skip_BCHW], dim=1)
    x_BCHW = x_BCHW if shift is None else x_BCHW + shift.like(x_BCHW)
    y = torch.group_norm(x_BCHW, groups, weight_C, bias_C, eps)
    return F.silu(y, inplace=True) if silu else y


def patches_product(x_BCHW: Tensor, *, skip_channels: int = 0, upsampled: bool = False) -> bool:
    """Whether a 3 × 3 convolution of this map is faster as one matrix product of its patches.

    ``skip_channels``: that follow those of ``x``. ``upsampled``: of the map with every position four times.
    """
    B, C, H, W = x_BCHW.shape
    if upsampled:
        return fuses(x_BCHW) and 4 * B * H * W <= _FEW_UPSAMPLED and 2 * C >= _MANY_CHANNELS
    return fuses(x_BCHW) and B * H * W <= _FEW_POSITIONS and C + skip_channels >= _MANY_CHANNELS


def patches(x_BCHW: Tensor, stride: int = 1, times: int = 1) -> Tensor:
    """The 3 × 3 patches of a map, padded with zeros: (positions, 9 · C), a patch's values in the order of a
    channels-last weight. ``times``: of the map with every position so many times in each direction.
    """
    if fuses(x_BCHW):
        return _launch_patches(x_BCHW, stride, times)
    x_BCHW = x_BCHW if times == 1 else F.interpolate(x_BCHW, scale_factor=float(times), mode="nearest")
    patches_BCHW = F.pad(x_BCHW, (1, 1, 1, 1)).unfold(2, 3, stride).unfold(3, 3, stride)  # … 3, 3
    return patches_BCHW.permute(0, 2, 3, 4, 5, 1).reshape(-1, 9 * x_BCHW.shape[1])


def norm_patches(
    x_BCHW: Tensor,
    groups: int,
    weight_C: Tensor,
    bias_C: Tensor,
    eps: float,
    *,
    shift: Shift | None = None,
    skip_BCHW: Tensor | None = None,
) -> Tensor:
    """:func:`patches` of :func:`group_norm` with SiLU; in one kernel where a group fits into one program."""
    if fuses(x_BCHW) and math.prod(_group_tile(x_BCHW, len(weight_C), groups)) <= _PATCHES_TILE:
        return _launch_group_norm(x_BCHW, skip_BCHW, groups, weight_C, bias_C, eps, True, shift, patches=True)
    y = group_norm(x_BCHW, groups, weight_C, bias_C, eps, silu=True, shift=shift, skip_BCHW=skip_BCHW)
    return patches(y)


def add_shifted(x_BCHW: Tensor, y_BCHW: Tensor, shift: Shift) -> Tensor:
    """``x + shift + y``. Changes ``x`` in place."""
    if fuses(x_BCHW) and fuses(y_BCHW):
        return _launch_add_shifted(x_BCHW, y_BCHW, shift)
    return x_BCHW.add_(shift.like(x_BCHW)).add_(y_BCHW)


def add_measured(x_BCHW: Tensor, y_BCHW: Tensor, shift: Shift) -> tuple[Tensor, Moments | None]:
    """``x + shift + y``, and where kernels run its moments, for the norm that follows. ``x`` may be changed."""
    if fuses(x_BCHW) and fuses(y_BCHW):
        return _launch_add_measured(x_BCHW, y_BCHW, shift)
    return add_shifted(x_BCHW, y_BCHW, shift), None


def add_padded(x_BCHW: Tensor, y_BCHW: Tensor, shift: Shift) -> Tensor:
    """``x + shift + y`` with a row of zeros below it and a column of them on its right: (B, C, H + 1, W + 1).

    Sums in float32; without kernels ``x`` is changed.
    """
    if fuses(x_BCHW) and fuses(y_BCHW):
        return _launch_add_padded(x_BCHW, y_BCHW, shift)
    return F.pad(add_shifted(x_BCHW, y_BCHW, shift), (0, 1, 0, 1))


def add_bias(x_BCHW: Tensor, bias_C: Tensor) -> Tensor:
    """``x + bias``. Changes ``x`` in place. PyTorch's own addition to channels-last maps has a third of the rate."""
    if fuses(x_BCHW):
        return _launch_add_shifted(x_BCHW, None, Shift.same(bias_C))
    return x_BCHW.add_(bias_C.view(1, -1, 1, 1))


def upsample(x_BCHW: Tensor) -> Tensor:
    """Every position four times: (B, C, 2·H, 2·W)."""
    if fuses(x_BCHW):
        return _launch_upsample(x_BCHW)
    return F.interpolate(x_BCHW, scale_factor=2.0, mode="nearest")


def fuses(x_BCHW: Tensor) -> bool:
    """Whether operations on this map run as Triton kernels."""
    return runs_on(x_BCHW) and x_BCHW.is_contiguous(memory_format=torch.channels_last)


def _group_tile(x: Tensor, channels: int, groups: int) -> tuple[int, int]:
    """Rows and columns of what a program holds which holds a group of a sample."""
    return max(power_of_two(x.shape[2] * x.shape[3]), 16), power_of_two(channels // groups)


def _launch_group_norm(
    x: Tensor,
    skip: Tensor | None,
    groups: int,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    silu: bool,
    shift: Shift | None,
    patches: bool = False,
    moments: Moments | None = None,
) -> Tensor:
    B, x_channels, H, W = x.shape
    C, positions = x_channels + (0 if skip is None else skip.shape[1]), H * W
    width, joined = C // groups, skip is not None
    maps, norm = (x, x if skip is None else skip), (weight, bias, *_given(shift, x))
    rows, columns = _group_tile(x, C, groups)
    if patches:
        y = x.new_empty(B * positions, 9 * C)
    else:
        y = torch.empty((B, C, H, W), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    if patches or (rows * columns <= _TILE and B * positions * C <= _SMALL_MAP):
        _kernels().group_norm_kernel[(groups, B)](
            *(*maps, y, *norm, positions, x_channels, C, eps, H, W),
            **{"WIDTH": width, "ROWS": rows, "COLUMNS": columns, "PATCHES": patches},
            **{"JOINED": joined, "SHIFTED": shift is not None, "SILU": silu},
            **launch_options(),
            num_warps=16 if rows * columns > 8192 else 8 if rows * columns > 2048 else 4,
        )
        return y
    block = _lines(math.gcd(x_channels, C))  # lies in one of the maps
    tile = {"COLUMNS": block, "JOINED": joined}
    means, squares, per_chunk = _launch_moments(maps, C, tile) if moments is None else moments
    chunks = means.shape[1]
    factors, offsets = torch.empty(2, B, C, dtype=torch.float32, device=x.device)
    rows = max(min(4096 // block, power_of_two(positions)), 1)
    kernels = _kernels()
    kernels.group_affine_kernel[(groups, B)](
        *(means, squares, *norm, factors, offsets, chunks, positions, per_chunk, C, eps),
        **{"WIDTH": width, "CHUNKS": power_of_two(chunks), "COLUMNS": columns, "SHIFTED": shift is not None},
        **launch_options(),
    )
    kernels.channel_affine_kernel[(C // block, -(-positions // rows), B)](
        *maps,
        y,
        factors,
        offsets,
        positions,
        x_channels,
        C,
        **tile,
        ROWS=rows,
        SILU=silu,
        **launch_options(),
        num_warps=8,
    )
    return y


def _lines(channels: int) -> int:
    """Channels of a program that reads whole lines of memory."""
    return min(channels & -channels, 128)


def _chunks(x: Tensor, C: int, block: int) -> tuple[int, tuple[Tensor, Tensor], int]:
    """For kernels that take moments of a map of C channels: rows at once, room for moments, rows a chunk."""
    B, positions = len(x), x.shape[2] * x.shape[3]
    fetched = min(_FETCHED_ROWS, power_of_two(positions))
    chunks = min(max(_PROGRAMS // (B * (C // block)), 1), _MOST_CHUNKS, -(-positions // fetched))
    per_chunk = -(-positions // (chunks * fetched)) * fetched
    means, squares = torch.empty(2, B, -(-positions // per_chunk), C, dtype=torch.float32, device=x.device)
    return fetched, (means, squares), per_chunk


def _launch_moments(maps: tuple[Tensor, Tensor], C: int, tile: dict[str, Any]) -> Moments:
    x, block = maps[0], tile["COLUMNS"]
    fetched, (means, squares), per_chunk = _chunks(x, C, block)
    B, x_channels, H, W = x.shape
    _kernels().channel_moments_kernel[(C // block, means.shape[1], B)](
        *(*maps, means, squares, H * W, per_chunk, x_channels, C),
        **tile,
        ROWS=fetched,
        **launch_options(),
        num_warps=4,
    )
    return Moments(means, squares, per_chunk)


def _launch_add_measured(x: Tensor, y: Tensor, shift: Shift) -> tuple[Tensor, Moments]:
    B, C, H, W = x.shape
    out, block = torch.empty_like(x), _lines(C)
    fetched, (means, squares), per_chunk = _chunks(x, C, block)
    _kernels().add_measured_kernel[(C // block, means.shape[1], B)](
        *(x, y, out, *_given(shift, x), means, squares, H * W, per_chunk, C),
        **{"ROWS": fetched, "COLUMNS": block},
        **launch_options(),
        num_warps=4,
    )
    return out, Moments(means, squares, per_chunk)


def _launch_add_shifted(x: Tensor, y: Tensor | None, shift: Shift) -> Tensor:
    B, C, H, W = x.shape
    columns = block_of(C)
    rows = max(4096 // columns, 1)
    grid = (-(-H * W // rows), -(-C // columns), B)
    tile = {"ROWS": rows, "COLUMNS": columns, "ADD": y is not None, "num_warps": 8} | launch_options()
    _kernels().add_shifted_kernel[grid](x, x if y is None else y, *_given(shift, x), H * W, C, **tile)
    return x


def _launch_add_padded(x: Tensor, y: Tensor, shift: Shift) -> Tensor:
    B, C, H, W = x.shape
    out = torch.empty((B, C, H + 1, W + 1), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    columns = block_of(C)
    rows = max(4096 // columns, 1)
    grid = (-(-(H + 1) * (W + 1) // rows), -(-C // columns), B)
    tile = {"ROWS": rows, "COLUMNS": columns, "num_warps": 8} | launch_options()
    _kernels().add_padded_kernel[grid](x, y, out, *_given(shift, x), H, W, C, **tile)
    return out


def _launch_upsample(x: Tensor) -> Tensor:
    B, C, H, W = x.shape
    y = torch.empty((B, C, 2 * H, 2 * W), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    columns = block_of(C)
    rows = max(4096 // columns, 1)
    grid = (-(-C // columns), -(-4 * H * W // rows), B)
    _kernels().upsample_kernel[grid](
        x, y, 2 * W, 4 * H * W, C, ROWS=rows, COLUMNS=columns, **launch_options(), num_warps=8
    )
    return y


def _launch_patches(x: Tensor, stride: int, times: int) -> Tensor:
    B, C, H, W = x.shape
    high, wide = -(-H * times // stride), -(-W * times // stride)
    y = x.new_empty(B * high * wide, 9 * C)
    columns = block_of(C)
    rows = max(2048 // columns, 1)
    grid = (-(-high * wide // rows), -(-C // columns), B)
    _kernels().patches_kernel[grid](
        x, y, H, W, high, wide, stride, times, C, ROWS=rows, COLUMNS=columns, **launch_options(), num_warps=4
    )
    return y


def _given(shift: Shift | None, like: Tensor) -> tuple[Tensor, int]:
    """The arguments that stand for a shift; any tensor where there is none."""
    return (like, 0) if shift is None else (shift.values, shift.first)


@cache
def _kernels() -> Any:
    """Imported on first use: Triton takes long to import, and CPUs never need it."""
    from artv.networks.fast.kernels import triton_maps

    return triton_maps
