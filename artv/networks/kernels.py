"""Fused operations that PyTorch runs as several: norms with what comes before and after them, GEGLU, small attention.

On CUDA they are Triton kernels; elsewhere, and with :data:`ENABLED` off, PyTorch's own operations. PyTorch's CUDA group
norm knows no channels-last: it copies the map to another layout, and the next convolution copies it back. Its
convolutions add their bias in a pass of its own, and its attention has a start-up that small maps feel.

Shape suffixes: B batch, C channels, H W feature size, N tokens, M keys, D width.
"""

import math
import os
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

ENABLED = find_spec("triton") is not None
"""Turn off to compare with PyTorch's operations."""

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Triton's interpreter runs the kernels on a CPU too, slowly: for tests."""

_TILE = 32768  # values of a group that one program holds in registers
_WINDOWED_TILE = 16384  # values, if it stores them nine times
_SMALL_MAP = 2**21  # values; larger ones are read in whole lines, by three kernels instead of one
_PROGRAMS = 1024  # of a kernel that goes over a map: several for each of a large GPU's processors
_MOST_CHUNKS = 64  # parts of a map whose moments are taken apart
_FETCHED_ROWS = 32  # of such a part, at once
_LONGEST_ATTENTION = 2048  # tokens; beyond it cuDNN's kernel is the faster one (H100: 417 against 470 TFLOP/s at 9,216)
_NARROW_HEAD = 32  # up to this width, which cuDNN is not made for, attention is ours at any length
_NARROW_LAYER = 640  # inputs; a wider layer's product alone is faster in cuBLAS
_FEW_QUERIES = 2**16  # of all heads, where keys are the text's: with more cuDNN's start-up no longer counts
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
) -> Tensor:
    """Group norm of ``x`` (its channels followed by those of ``skip``) plus ``shift``, then SiLU if asked for.

    Statistics in float32. Channels-last stays channels-last.
    """
    if fuses(x_BCHW):
        return _launch_group_norm(x_BCHW, skip_BCHW, groups, weight_C, bias_C, eps, silu, shift)
    x_BCHW = x_BCHW if skip_BCHW is None else torch.cat([x_BCHW, skip_BCHW], dim=1)
    x_BCHW = x_BCHW if shift is None else x_BCHW + shift.like(x_BCHW)
    y = torch.group_norm(x_BCHW, groups, weight_C, bias_C, eps)
    return F.silu(y, inplace=True) if silu else y


def windows_product(x_BCHW: Tensor, *, skip_channels: int = 0, upsampled: bool = False) -> bool:
    """Whether a 3 × 3 convolution of this map is faster as one matrix product of its windows.

    ``skip_channels``: that follow those of ``x``. ``upsampled``: of the map with every position four times.
    """
    B, C, H, W = x_BCHW.shape
    if upsampled:
        return fuses(x_BCHW) and 4 * B * H * W <= _FEW_UPSAMPLED and 2 * C >= _MANY_CHANNELS
    return fuses(x_BCHW) and B * H * W <= _FEW_POSITIONS and C + skip_channels >= _MANY_CHANNELS


def windows(x_BCHW: Tensor, stride: int = 1, times: int = 1) -> Tensor:
    """The 3 × 3 windows of a map, padded with zeros: (positions, 9 · C), a window's values in the order of a
    channels-last weight. ``times``: of the map with every position so many times in each direction.
    """
    if fuses(x_BCHW):
        return _launch_windows(x_BCHW, stride, times)
    x_BCHW = x_BCHW if times == 1 else F.interpolate(x_BCHW, scale_factor=float(times), mode="nearest")
    windows_BCHW = F.pad(x_BCHW, (1, 1, 1, 1)).unfold(2, 3, stride).unfold(3, 3, stride)  # … 3, 3
    return windows_BCHW.permute(0, 2, 3, 4, 5, 1).reshape(-1, 9 * x_BCHW.shape[1])


def norm_windows(
    x_BCHW: Tensor,
    groups: int,
    weight_C: Tensor,
    bias_C: Tensor,
    eps: float,
    *,
    shift: Shift | None = None,
    skip_BCHW: Tensor | None = None,
) -> Tensor:
    """:func:`windows` of :func:`group_norm` with SiLU; in one kernel where a group fits into one program."""
    if fuses(x_BCHW) and _group_size(x_BCHW, skip_BCHW, groups) <= _WINDOWED_TILE:
        return _launch_group_norm(x_BCHW, skip_BCHW, groups, weight_C, bias_C, eps, True, shift, windows=True)
    y = group_norm(x_BCHW, groups, weight_C, bias_C, eps, silu=True, shift=shift, skip_BCHW=skip_BCHW)
    return windows(y)


def add_layer_norm(
    x_BND: Tensor,
    delta_BND: Tensor,
    weight_D: Tensor,
    bias_D: Tensor,
    eps: float,
    shift_D: Tensor | None = None,
    out_BND: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``x + delta + shift`` and its layer norm; statistics in float32. The sum goes to ``out`` (default: to ``x``),
    whose rows may be part of longer ones.
    """
    out_BND = x_BND if out_BND is None else out_BND
    if _fuses_rows(x_BND) and delta_BND.is_contiguous():
        return out_BND, _launch_layer_norm(x_BND, weight_D, bias_D, eps, delta_BND, shift_D, out_BND)
    torch.add(x_BND, delta_BND if shift_D is None else delta_BND + shift_D, out=out_BND)
    return out_BND, torch.layer_norm(out_BND, weight_D.shape, weight_D, bias_D, eps)


def layer_norm(x_BND: Tensor, weight_D: Tensor, bias_D: Tensor, eps: float, shift_D: Tensor | None = None) -> Tensor:
    """Layer norm of ``x + shift`` over the last axis; statistics in float32."""
    if _fuses_rows(x_BND):
        return _launch_layer_norm(x_BND, weight_D, bias_D, eps, None, shift_D)
    x_BND = x_BND if shift_D is None else x_BND + shift_D
    return torch.layer_norm(x_BND, weight_D.shape, weight_D, bias_D, eps)


def add_shifted(x_BCHW: Tensor, y_BCHW: Tensor, shift: Shift) -> Tensor:
    """``x + shift + y``. Changes ``x`` in place."""
    if fuses(x_BCHW) and fuses(y_BCHW):
        return _launch_add_shifted(x_BCHW, y_BCHW, shift)
    return x_BCHW.add_(shift.like(x_BCHW)).add_(y_BCHW)


def add_bias(x_BCHW: Tensor, bias_C: Tensor) -> Tensor:
    """``x + bias``. Changes ``x`` in place. PyTorch's own addition to channels-last maps has a third of the rate."""
    if fuses(x_BCHW):
        return _launch_add_shifted(x_BCHW, None, Shift.same(bias_C))
    return x_BCHW.add_(bias_C.view(1, -1, 1, 1))


def geglu(x_ME: Tensor, out_MD: Tensor) -> None:
    """Into ``out``: the first half of the last axis (2·D) times the GELU of the second."""
    if _fuses_rows(x_ME):
        return _launch_geglu(x_ME, out_MD)
    value, gate = x_ME.chunk(2, dim=-1)
    torch.mul(value, F.gelu(gate), out=out_MD)


def linear_geglu(x_MC: Tensor, weight_EC: Tensor, bias_E: Tensor, out_MD: Tensor) -> None:
    """:func:`geglu` of a linear layer. One kernel where that is faster than a product and another.

    ``out``: its rows may be part of longer ones.
    """
    if _multiplies(x_MC, weight_EC):
        return _launch_linear_geglu(x_MC, weight_EC, bias_E, out_MD)
    geglu(F.linear(x_MC, weight_EC, bias_E), out_MD)


def upsample(x_BCHW: Tensor) -> Tensor:
    """Every position four times: (B, C, 2·H, 2·W)."""
    if fuses(x_BCHW):
        return _launch_upsample(x_BCHW)
    return F.interpolate(x_BCHW, scale_factor=2.0, mode="nearest")


def attention(q_BHND: Tensor, k_BHMD: Tensor, v_BHMD: Tensor) -> Tensor:
    """Softmax attention over the keys, without a mask; (B, N, heads · D), where H counts heads here."""
    B, heads, N, D = q_BHND.shape
    if _attends(q_BHND, k_BHMD, v_BHMD):
        return _launch_attention(q_BHND, k_BHMD, v_BHMD)
    return F.scaled_dot_product_attention(q_BHND, k_BHMD, v_BHMD).transpose(1, 2).reshape(B, N, heads * D)


def fuses(x_BCHW: Tensor) -> bool:
    """Whether operations on this map run as Triton kernels."""
    return _runs_on(x_BCHW) and x_BCHW.is_contiguous(memory_format=torch.channels_last)


def _runs_on(x: Tensor) -> bool:
    return ENABLED and (x.is_cuda or INTERPRETED)


def _fuses_rows(x: Tensor) -> bool:
    return _runs_on(x) and x.is_contiguous()


def _attends(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Half precision only: float32 products would be rounded to TF32. Heads of a power of two that tiles hold."""
    width, half = q.shape[-1], q.dtype in (torch.bfloat16, torch.float16)
    whole = width in (16, 32, 64, 128) and all(x.stride(-1) == 1 for x in (q, k, v))
    few = q.shape[2] == k.shape[2] or q.shape[:3].numel() <= _FEW_QUERIES
    short = max(q.shape[2], k.shape[2]) <= _LONGEST_ATTENTION or width <= _NARROW_HEAD
    return _runs_on(q) and (half or INTERPRETED) and whole and short and few


def _group_size(x: Tensor, skip: Tensor | None, groups: int) -> int:
    """Values that a program holds which holds a group of a sample."""
    C = x.shape[1] + (0 if skip is None else skip.shape[1])
    return max(_power_of_two(x.shape[2] * x.shape[3]), 16) * _power_of_two(C // groups)


def _multiplies(x: Tensor, weight: Tensor) -> bool:
    """Half precision on Hopper and later, for whole tiles and layers of a width that pays."""
    half, C = x.dtype in (torch.bfloat16, torch.float16), x.shape[-1]
    whole = C % 64 == 0 and weight.shape[0] % 128 == 0 and x.is_contiguous() and weight.is_contiguous()
    return _runs_on(x) and half and whole and C <= _NARROW_LAYER and _has_tensor_memory_unit(x.device)


@cache
def _has_tensor_memory_unit(device: torch.device) -> bool:
    known = find_spec("triton.tools.tensor_descriptor") is not None  # Triton 3.4
    return known and (INTERPRETED or torch.cuda.get_device_capability(device) >= (9, 0))


def _launch_group_norm(
    x: Tensor,
    skip: Tensor | None,
    groups: int,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    silu: bool,
    shift: Shift | None,
    windows: bool = False,
) -> Tensor:
    B, x_channels, H, W = x.shape
    C, positions = x_channels + (0 if skip is None else skip.shape[1]), H * W
    width, joined = C // groups, skip is not None
    maps, norm = (x, skip if joined else x), (weight, bias, *_given(shift, x))
    rows, columns = max(_power_of_two(positions), 16), _power_of_two(width)
    if windows:
        y = x.new_empty(B * positions, 9 * C)
    else:
        y = torch.empty((B, C, H, W), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    if windows or (rows * columns <= _TILE and B * positions * C <= _SMALL_MAP):
        _kernels().group_norm_kernel[(groups, B)](
            *(*maps, y, *norm, positions, x_channels, C, eps, H, W),
            **{"WIDTH": width, "ROWS": rows, "COLUMNS": columns, "WINDOWS": windows},
            **{"JOINED": joined, "SHIFTED": shift is not None, "SILU": silu},
            **_launch_options(),
            num_warps=16 if rows * columns > 8192 else 8 if rows * columns > 2048 else 4,
        )
        return y
    block = math.gcd(x_channels, C) & -math.gcd(x_channels, C)  # lies in one of the maps
    block = min(block, 128)
    fetched = min(_FETCHED_ROWS, _power_of_two(positions))
    chunks = min(max(_PROGRAMS // (B * (C // block)), 1), _MOST_CHUNKS, -(-positions // fetched))
    per_chunk = -(-positions // (chunks * fetched)) * fetched
    chunks = -(-positions // per_chunk)
    means, squares = torch.empty(2, B, chunks, C, dtype=torch.float32, device=x.device)
    factors, offsets = torch.empty(2, B, C, dtype=torch.float32, device=x.device)
    rows = max(min(4096 // block, _power_of_two(positions)), 1)
    tile = {"COLUMNS": block, "JOINED": joined}
    kernels = _kernels()
    kernels.channel_moments_kernel[(C // block, chunks, B)](
        *maps,
        means,
        squares,
        positions,
        per_chunk,
        x_channels,
        C,
        **tile,
        ROWS=fetched,
        **_launch_options(),
        num_warps=4,
    )
    kernels.group_affine_kernel[(groups, B)](
        *(means, squares, *norm, factors, offsets, chunks, positions, per_chunk, C, eps),
        **{"WIDTH": width, "CHUNKS": _power_of_two(chunks), "COLUMNS": columns, "SHIFTED": shift is not None},
        **_launch_options(),
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
        **_launch_options(),
        num_warps=8,
    )
    return y


def _launch_layer_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    delta: Tensor | None,
    shift: Tensor | None,
    out: Tensor | None = None,
) -> Tensor:
    D = x.shape[-1]
    columns = _power_of_two(D)
    rows = max(1, 2048 // columns)
    count = x.numel() // D
    y = torch.empty_like(x)
    _kernels().layer_norm_kernel[(-(-count // rows),)](
        *(x, x if delta is None else delta, y, weight, bias, x if shift is None else shift),
        *(x if out is None else out, D if out is None else out.stride(-2), count, eps),
        WIDTH=D,
        ROWS=rows,
        COLUMNS=columns,
        ADD=delta is not None,
        SHIFTED=shift is not None,
        **_launch_options(),
        num_warps=4,
    )
    return y


def _launch_add_shifted(x: Tensor, y: Tensor | None, shift: Shift) -> Tensor:
    B, C, H, W = x.shape
    columns = _block_of(C)
    rows = max(4096 // columns, 1)
    grid = (-(-H * W // rows), -(-C // columns), B)
    tile = {"ROWS": rows, "COLUMNS": columns, "ADD": y is not None, "num_warps": 8} | _launch_options()
    _kernels().add_shifted_kernel[grid](x, x if y is None else y, *_given(shift, x), H * W, C, **tile)
    return x


def _launch_upsample(x: Tensor) -> Tensor:
    B, C, H, W = x.shape
    y = torch.empty((B, C, 2 * H, 2 * W), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    columns = _block_of(C)
    rows = max(4096 // columns, 1)
    grid = (-(-C // columns), -(-4 * H * W // rows), B)
    _kernels().upsample_kernel[grid](
        x, y, 2 * W, 4 * H * W, C, ROWS=rows, COLUMNS=columns, **_launch_options(), num_warps=8
    )
    return y


def _launch_linear_geglu(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> None:
    from triton.tools.tensor_descriptor import TensorDescriptor

    count, C = x.shape
    D = weight.shape[0] // 2
    rows, columns, depth = 128, 64, 64
    _kernels().linear_geglu_kernel[(-(-count // rows) * (D // columns),)](
        TensorDescriptor.from_tensor(x, [rows, depth]),
        TensorDescriptor.from_tensor(weight, [columns, depth]),
        bias,
        TensorDescriptor.from_tensor(out, [rows, columns]),
        *(count, D),
        **{"K": C, "ROWS": rows, "COLUMNS": columns, "DEPTH": depth},
        **_launch_options(),
        num_warps=4,
        num_stages=3,
    )


def _launch_geglu(x: Tensor, out: Tensor) -> None:
    count, D = x.shape[0], x.shape[1] // 2
    columns = _block_of(D)
    rows = max(2048 // columns, 1)
    _kernels().geglu_kernel[(-(-count // rows), -(-D // columns))](
        x, out, out.stride(0), count, D, ROWS=rows, COLUMNS=columns, **_launch_options(), num_warps=4
    )


def _launch_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    B, heads, N, D = q.shape
    keys = k.shape[2]
    columns = 128 if 64 < keys <= 128 else 64
    out = q.new_empty(B, N, heads * D)
    _kernels().attention_kernel[(-(-N // 64), B * heads)](
        *(q, k, v, out, *(step for x in (q, k, v) for step in x.stride()[:3])),
        *(heads, N, keys, D**-0.5 * 1.4426950408889634),  # log2(e): the kernel's powers are of two
        WIDTH=D,
        ROWS=64,
        COLUMNS=columns,
        EVEN=keys % columns == 0,
        **_launch_options(),
        num_warps=4,
        num_stages=3 if columns == 64 else 2,
    )
    return out


def _launch_windows(x: Tensor, stride: int, times: int) -> Tensor:
    B, C, H, W = x.shape
    high, wide = -(-H * times // stride), -(-W * times // stride)
    y = x.new_empty(B * high * wide, 9 * C)
    columns = _block_of(C)
    rows = max(2048 // columns, 1)
    grid = (-(-high * wide // rows), -(-C // columns), B)
    _kernels().windows_kernel[grid](
        x, y, H, W, high, wide, stride, times, C, ROWS=rows, COLUMNS=columns, **_launch_options(), num_warps=4
    )
    return y


def _given(shift: Shift | None, like: Tensor) -> tuple[Tensor, int]:
    """The arguments that stand for a shift; any tensor where there is none."""
    return (like, 0) if shift is None else (shift.values, shift.first)


@cache
def overlaps() -> bool:
    """Whether kernels are launched ahead of the end of the one before, for which they wait themselves
    (programmatic dependent launch: Hopper and later, Triton 3.4).
    """
    known = find_spec("triton.language.extra.cuda.gdc") is not None
    if INTERPRETED or not known or not torch.cuda.is_available():
        return False
    return all(torch.cuda.get_device_capability(i) >= (9, 0) for i in range(torch.cuda.device_count()))


def _launch_options() -> dict[str, bool]:
    return {"launch_pdl": True} if overlaps() else {}


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _block_of(n: int) -> int:
    """Columns a program: the largest power of two up to 512 in ``n``, so that none are idle; at least 64."""
    return max(min(n & -n, 512), min(64, _power_of_two(n)))


@cache
def _kernels() -> Any:
    """Imported on first use: Triton takes long to import, and CPUs never need it."""
    from artv.networks import triton_kernels

    return triton_kernels
