"""The Triton side of :mod:`artv.training.fast.maps`. Maps are channels-last, as in the kernels for sampling."""

import triton
import triton.language as tl


@triton.jit
def group_statistics_kernel(
    mean_ptr,
    squares_ptr,
    shift_ptr,
    weight_ptr,
    bias_ptr,
    statistics_ptr,
    factor_ptr,
    offset_ptr,
    chunks,
    positions,
    rows_per_chunk,
    channels,
    eps,
    WIDTH: tl.constexpr,
    CHUNKS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SHIFTED: tl.constexpr,
):
    """One group of one sample, from the moments of its channels: group norm of x + shift is x · factor + offset.

    Statistics: (3, B, C), the mean of x, and for all channels of a group alike the mean of x + shift and 1 / deviation.
    """
    sample = tl.program_id(1).to(tl.int64)
    used = tl.arange(0, COLUMNS) < WIDTH
    channel = tl.program_id(0) * WIDTH + tl.arange(0, COLUMNS)
    each = tl.arange(0, CHUNKS)[:, None]
    known = (each < chunks) & used[None, :]
    at = (sample * chunks + each) * channels + channel[None, :]
    here = sample * channels + channel
    shift = tl.zeros((COLUMNS,), tl.float32)
    if SHIFTED:
        shift = tl.load(shift_ptr + here, mask=used, other=0.0).to(tl.float32)
    counts = tl.maximum(tl.minimum(positions - each * rows_per_chunk, rows_per_chunk), 0) * 1.0
    means = tl.load(mean_ptr + at, mask=known, other=0.0)
    channel_mean = tl.sum(tl.where(known, means * counts, 0.0), axis=0) / positions
    mean = tl.sum(tl.where(used, channel_mean + shift, 0.0), axis=0) / WIDTH
    apart = means + shift[None, :] - mean
    squares = tl.load(squares_ptr + at, mask=known, other=0.0) + tl.where(known, apart * apart * counts, 0.0)
    scale = tl.rsqrt(tl.sum(tl.sum(squares, axis=1), axis=0) / (positions * WIDTH) + eps)
    factor = scale * tl.load(weight_ptr + channel, mask=used, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + channel, mask=used, other=0.0).to(tl.float32)
    step = tl.num_programs(1).to(tl.int64) * channels
    ones = tl.full((COLUMNS,), 1.0, tl.float32)
    tl.store(statistics_ptr + here, channel_mean, mask=used)
    tl.store(statistics_ptr + step + here, mean * ones, mask=used)
    tl.store(statistics_ptr + 2 * step + here, scale * ones, mask=used)
    tl.store(factor_ptr + here, factor, mask=used)
    tl.store(offset_ptr + here, bias + (shift - mean) * factor, mask=used)


@triton.jit
def _through_silu(x, dy, factor, offset, SILU: tl.constexpr):
    if SILU:
        y = x * factor + offset
        s = tl.sigmoid(y)
        return dy * s * (1 + y * (1 - s))
    return dy


@triton.jit
def channel_gradient_sums_kernel(
    x_ptr,
    dy_ptr,
    factor_ptr,
    offset_ptr,
    sums_ptr,
    positions,
    rows_per_chunk,
    first_channel,
    x_channels,
    channels,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SILU: tl.constexpr,
):
    """Over a chunk of positions, of the gradient g of x · factor + offset: each channel's sums of g and of g · x.

    x has some of the channels, from ``first_channel`` on.
    """
    chunk, sample = tl.program_id(1), tl.program_id(2).to(tl.int64)
    own = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    channel = first_channel + own
    factor = tl.load(factor_ptr + sample * channels + channel)[None, :]
    offset = tl.load(offset_ptr + sample * channels + channel)[None, :]
    end = tl.minimum((chunk + 1) * rows_per_chunk, positions)
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    products = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in tl.range(chunk * rows_per_chunk, end, ROWS, num_stages=3):
        row = first + tl.arange(0, ROWS)[:, None]
        inside = row < end
        place = sample * positions + row
        x = tl.load(x_ptr + place * x_channels + own[None, :], mask=inside, other=0.0).to(tl.float32)
        dy = tl.load(dy_ptr + place * channels + channel[None, :], mask=inside, other=0.0).to(tl.float32)
        g = _through_silu(x, dy, factor, offset, SILU)
        sums += g
        products += g * x
    here = (sample * tl.num_programs(1) + chunk) * channels + channel
    step = tl.num_programs(2).to(tl.int64) * tl.num_programs(1) * channels
    tl.store(sums_ptr + here, tl.sum(sums, axis=0))
    tl.store(sums_ptr + step + here, tl.sum(products, axis=0))


@triton.jit
def group_gradients_kernel(
    sums_ptr,
    statistics_ptr,
    factor_ptr,
    shift_ptr,
    weight_ptr,
    slope_ptr,
    level_ptr,
    result_ptr,
    chunks,
    positions,
    channels,
    WIDTH: tl.constexpr,
    CHUNKS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SHIFTED: tl.constexpr,
):
    """One group of one sample: dx is factor · g + slope · x + level. Result: (3, B, C), what the sample adds to the
    gradients of weight and bias, and its gradient of the shift.
    """
    sample = tl.program_id(1).to(tl.int64)
    used = tl.arange(0, COLUMNS) < WIDTH
    channel = tl.program_id(0) * WIDTH + tl.arange(0, COLUMNS)
    each = tl.arange(0, CHUNKS)[:, None]
    known = (each < chunks) & used[None, :]
    at = (sample * chunks + each) * channels + channel[None, :]
    here = sample * channels + channel
    samples = tl.num_programs(1).to(tl.int64)
    g = tl.sum(tl.load(sums_ptr + at, mask=known, other=0.0), axis=0)
    gx = tl.sum(tl.load(sums_ptr + samples * chunks * channels + at, mask=known, other=0.0), axis=0)
    step = samples * channels
    channel_mean = tl.load(statistics_ptr + here, mask=used, other=0.0)
    mean = tl.load(statistics_ptr + step + here, mask=used, other=0.0)
    scale = tl.load(statistics_ptr + 2 * step + here, mask=used, other=0.0)
    factor = tl.load(factor_ptr + here, mask=used, other=0.0)
    weight = tl.load(weight_ptr + channel, mask=used, other=0.0).to(tl.float32)
    shift = tl.zeros((COLUMNS,), tl.float32)
    if SHIFTED:
        shift = tl.load(shift_ptr + here, mask=used, other=0.0).to(tl.float32)
    d_weight = scale * (gx + (shift - mean) * g)
    count = positions * WIDTH * 1.0
    inner, along = tl.sum(weight * g, axis=0) / count, tl.sum(weight * d_weight, axis=0) / count
    slope = -scale * scale * along
    level = -scale * inner + slope * (shift - mean)
    tl.store(slope_ptr + here, slope, mask=used)
    tl.store(level_ptr + here, level, mask=used)
    tl.store(result_ptr + here, d_weight, mask=used)
    tl.store(result_ptr + step + here, g, mask=used)
    tl.store(result_ptr + 2 * step + here, factor * g + positions * (slope * channel_mean + level), mask=used)


@triton.jit
def map_gradient_kernel(
    x_ptr,
    dy_ptr,
    passed_ptr,
    factor_ptr,
    offset_ptr,
    slope_ptr,
    level_ptr,
    dx_ptr,
    positions,
    first_channel,
    x_channels,
    channels,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SILU: tl.constexpr,
    PASSED: tl.constexpr,
):
    """factor · g + slope · x + level, with PASSED plus the gradient past the norm; x as in the kernel of the sums."""
    sample = tl.program_id(2).to(tl.int64)
    own = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    channel = first_channel + own
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    inside = row < positions
    place = sample * positions + row
    at = place * x_channels + own[None, :]
    here = sample * channels + channel
    factor = tl.load(factor_ptr + here)[None, :]
    offset = tl.load(offset_ptr + here)[None, :]
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
    dy = tl.load(dy_ptr + place * channels + channel[None, :], mask=inside, other=0.0).to(tl.float32)
    g = _through_silu(x, dy, factor, offset, SILU)
    dx = factor * g + tl.load(slope_ptr + here)[None, :] * x + tl.load(level_ptr + here)[None, :]
    if PASSED:
        dx += tl.load(passed_ptr + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=inside)
