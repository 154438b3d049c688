"""The Triton side of :mod:`artv.networks.kernels`."""

import triton
import triton.language as tl


@triton.jit
def group_norm_kernel(
    x_ptr,
    y_ptr,
    weight_ptr,
    bias_ptr,
    shift_ptr,
    positions,
    channels,
    eps,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    ONE_TILE: tl.constexpr,
    SHIFTED: tl.constexpr,
    SILU: tl.constexpr,
):
    """One group of one sample: (positions, WIDTH) values, rows ``channels`` apart. A group of one tile is read once;
    otherwise moments are gathered tile by tile (Chan's formula), and the tiles are read again.
    """
    group = tl.program_id(0)
    start = tl.program_id(1).to(tl.int64) * positions * channels + group * WIDTH
    column = tl.arange(0, COLUMNS)
    row = tl.arange(0, ROWS)
    used = column < WIDTH
    weight = tl.load(weight_ptr + group * WIDTH + column, mask=used, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + group * WIDTH + column, mask=used, other=0.0).to(tl.float32)
    shift = tl.zeros((COLUMNS,), tl.float32)
    if SHIFTED:
        shift = tl.load(shift_ptr + group * WIDTH + column, mask=used, other=0.0).to(tl.float32)

    if ONE_TILE:
        inside = (row[:, None] < positions) & used[None, :]
        offsets = start + row[:, None] * channels + column[None, :]
        x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        x = tl.where(inside, x + shift[None, :], 0.0)
        count = positions * WIDTH * 1.0
        mean = tl.sum(tl.sum(x, axis=1), axis=0) / count
        centred = tl.where(inside, x - mean, 0.0)
        scale = tl.rsqrt(tl.sum(tl.sum(centred * centred, axis=1), axis=0) / count + eps)
        y = centred * scale * weight[None, :] + bias[None, :]
        if SILU:
            y = y * tl.sigmoid(y)
        tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask=inside)
    else:
        count = 0.0
        mean = 0.0
        squares = 0.0
        for first in range(0, positions, ROWS):
            inside = ((first + row)[:, None] < positions) & used[None, :]
            offsets = start + (first + row)[:, None] * channels + column[None, :]
            x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
            x = tl.where(inside, x + shift[None, :], 0.0)
            n = tl.minimum(positions - first, ROWS) * WIDTH * 1.0
            tile_mean = tl.sum(tl.sum(x, axis=1), axis=0) / n
            centred = tl.where(inside, x - tile_mean, 0.0)
            tile_squares = tl.sum(tl.sum(centred * centred, axis=1), axis=0)
            delta = tile_mean - mean
            total = count + n
            squares += tile_squares + delta * delta * count * n / total
            mean += delta * n / total
            count = total
        scale = tl.rsqrt(squares / count + eps)
        for first in range(0, positions, ROWS):
            inside = ((first + row)[:, None] < positions) & used[None, :]
            offsets = start + (first + row)[:, None] * channels + column[None, :]
            x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32) + shift[None, :]
            y = (x - mean) * scale * weight[None, :] + bias[None, :]
            if SILU:
                y = y * tl.sigmoid(y)
            tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def layer_norm_kernel(
    x_ptr,
    delta_ptr,
    y_ptr,
    weight_ptr,
    bias_ptr,
    count,
    eps,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    ADD: tl.constexpr,
):
    """ROWS whole rows; with ADD, ``x += delta`` first. The sum is rounded as it is stored, then normalised."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    used = column < WIDTH
    inside = (row < count)[:, None] & used[None, :]
    offsets = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        x = x + tl.load(delta_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        rounded = x.to(x_ptr.dtype.element_ty)
        tl.store(x_ptr + offsets, rounded, mask=inside)
        x = rounded.to(tl.float32)
    mean = tl.sum(x, axis=1) / WIDTH
    centred = tl.where(inside, x - mean[:, None], 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, axis=1) / WIDTH + eps)
    weight = tl.load(weight_ptr + column, mask=used, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + column, mask=used, other=0.0).to(tl.float32)
    y = centred * scale[:, None] * weight[None, :] + bias[None, :]
    tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def add_shifted_kernel(x_ptr, y_ptr, shift_ptr, count, channels, BLOCK: tl.constexpr):
    """x += y + shift, of channels-last maps."""
    offsets = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < count
    shift = tl.load(shift_ptr + offsets % channels, mask=inside, other=0.0).to(tl.float32)
    x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    y = tl.load(y_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    tl.store(x_ptr + offsets, (x + y + shift).to(x_ptr.dtype.element_ty), mask=inside)


@triton.jit
def geglu_kernel(x_ptr, y_ptr, width, BLOCK: tl.constexpr):
    """A block of one row: the value half times the exact GELU of the gate half."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    value = tl.load(x_ptr + row * 2 * width + column, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(x_ptr + row * 2 * width + width + column, mask=inside, other=0.0).to(tl.float32)
    y = value * gate * 0.5 * (1.0 + tl.erf(gate * 0.7071067811865476))
    tl.store(y_ptr + row * width + column, y.to(y_ptr.dtype.element_ty), mask=inside)
