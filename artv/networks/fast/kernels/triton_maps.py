"""The Triton side of :mod:`artv.networks.fast.kernels.maps`.

Maps are channels-last: a position's channels lie together, positions ``channels`` apart. A *shift* is one value a
channel that is added on the way: its first row holds for the first ``first`` samples, its second for the others.
"""

import triton
import triton.language as tl

from artv.networks.fast.kernels.triton_wait import wait_for_previous


@triton.jit
def _load_map(x_ptr, skip_ptr, row, channel, inside, x_channels, channels, JOINED: tl.constexpr):
    """Values of a map, or of two maps whose channels follow each other, as float32."""
    if JOINED:
        x = tl.load(x_ptr + row * x_channels + channel, mask=inside & (channel < x_channels), other=0.0)
        behind = inside & (channel >= x_channels)
        skip = tl.load(skip_ptr + row * (channels - x_channels) + (channel - x_channels), mask=behind, other=0.0)
        return x.to(tl.float32) + skip.to(tl.float32)  # one of them is zero
    return tl.load(x_ptr + row * channels + channel, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def group_norm_kernel(
    x_ptr,
    skip_ptr,
    y_ptr,
    weight_ptr,
    bias_ptr,
    shift_ptr,
    first,
    positions,
    x_channels,
    channels,
    eps,
    high,
    wide,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    JOINED: tl.constexpr,
    SHIFTED: tl.constexpr,
    SILU: tl.constexpr,
    PATCHES: tl.constexpr,
):
    """One group of one sample, held in registers: (positions, WIDTH) values.

    With PATCHES the result is stored nine times: as every position's 3 × 3 patch of a map of ``high`` × ``wide``.
    """
    wait_for_previous()
    sample = tl.program_id(1).to(tl.int64)
    row = tl.arange(0, ROWS)[:, None]
    used = tl.arange(0, COLUMNS) < WIDTH
    channel = tl.program_id(0) * WIDTH + tl.arange(0, COLUMNS)
    inside = (row < positions) & used[None, :]
    weight = tl.load(weight_ptr + channel, mask=used, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + channel, mask=used, other=0.0).to(tl.float32)
    place = sample * positions + row
    x = _load_map(x_ptr, skip_ptr, place, channel[None, :], inside, x_channels, channels, JOINED)
    if SHIFTED:
        shift = tl.load(shift_ptr + tl.where(sample < first, 0, channels) + channel, mask=used, other=0.0)
        x = tl.where(inside, x + shift.to(tl.float32)[None, :], 0.0)
    count = positions * WIDTH * 1.0
    mean = tl.sum(tl.sum(x, axis=1), axis=0) / count
    centred = tl.where(inside, x - mean, 0.0)
    scale = tl.rsqrt(tl.sum(tl.sum(centred * centred, axis=1), axis=0) / count + eps)
    y = centred * scale * weight[None, :] + bias[None, :]
    if SILU:
        y = y * tl.sigmoid(y)
    y = y.to(y_ptr.dtype.element_ty)
    if PATCHES:
        down, across = row // wide, row % wide
        for tap in tl.static_range(9):
            dy, dx = tap // 3 - 1, tap % 3 - 1
            seen = (down >= dy) & (down < high + dy) & (across >= dx) & (across < wide + dx)
            at = y_ptr + ((place - dy * wide - dx) * 9 + tap) * channels + channel[None, :]
            tl.store(at, y, mask=inside & seen)  # in the patches around other positions
            missing = (down < -dy) | (down >= high - dy) | (across < -dx) | (across >= wide - dx)
            tl.store(y_ptr + (place * 9 + tap) * channels + channel[None, :], 0.0, mask=inside & missing)
    else:
        tl.store(y_ptr + place * channels + channel[None, :], y, mask=inside)


@triton.jit
def _load_block(
    x_ptr, skip_ptr, place, start, inside, x_channels, channels, COLUMNS: tl.constexpr, JOINED: tl.constexpr
):
    """Does what :func:`_load_map` does, for COLUMNS channels from ``start`` on that lie in one of the two maps."""
    channel = start + tl.arange(0, COLUMNS)[None, :]
    if JOINED:
        if start < x_channels:
            x = tl.load(x_ptr + place * x_channels + channel, mask=inside, other=0.0)
        else:
            x = tl.load(skip_ptr + place * (channels - x_channels) + channel - x_channels, mask=inside, other=0.0)
    else:
        x = tl.load(x_ptr + place * channels + channel, mask=inside, other=0.0)
    return x.to(tl.float32)


@triton.jit
def _chunk_sums(base, channels, begin, end, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """For COLUMNS channels from row ``begin`` to ``end``: sums and sums of squares of differences from the first row,
    and that row. The next rows are fetched while these are added: twice the rate.
    """
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    pivot = tl.load(base + begin * channels + column).to(tl.float32)
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    squares = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in tl.range(begin, end, ROWS, num_stages=3):
        inside = first + row < end
        x = tl.load(base + (first + row) * channels + column, mask=inside, other=0.0).to(tl.float32)
        x = tl.where(inside, x - pivot, 0.0)
        sums += x
        squares += x * x
    return tl.sum(sums, axis=0), tl.sum(squares, axis=0), tl.sum(pivot, axis=0)


@triton.jit
def channel_moments_kernel(
    x_ptr,
    skip_ptr,
    mean_ptr,
    squares_ptr,
    positions,
    rows_per_chunk,
    x_channels,
    channels,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    JOINED: tl.constexpr,
):
    """Each channel's mean and sum of squared deviations over a chunk of positions.

    Sums are of differences from the chunk's first position, so that a large mean costs no digits.
    """
    wait_for_previous()
    chunk, sample = tl.program_id(1), tl.program_id(2).to(tl.int64)
    start = tl.program_id(0) * COLUMNS
    begin = chunk * rows_per_chunk
    end = tl.minimum(begin + rows_per_chunk, positions)
    x_base = x_ptr + sample * positions * x_channels + start
    if JOINED:
        skip_channels = channels - x_channels
        skip_base = skip_ptr + sample * positions * skip_channels + start - x_channels
        if start < x_channels:
            sums, squares, pivot = _chunk_sums(x_base, x_channels, begin, end, ROWS, COLUMNS)
        else:
            sums, squares, pivot = _chunk_sums(skip_base, skip_channels, begin, end, ROWS, COLUMNS)
    else:
        sums, squares, pivot = _chunk_sums(x_base, channels, begin, end, ROWS, COLUMNS)
    at = (sample * tl.num_programs(1) + chunk) * channels + start + tl.arange(0, COLUMNS)
    _store_moments(mean_ptr + at, squares_ptr + at, sums, squares, pivot, end - begin)


@triton.jit
def _store_moments(mean_at, squares_at, sums, squares, pivot, rows):
    """Those of ``rows`` values whose differences from ``pivot`` have these sums and sums of squares."""
    count = rows * 1.0
    mean = sums / count
    tl.store(mean_at, mean + pivot)
    tl.store(squares_at, tl.maximum(squares - mean * mean * count, 0.0))


@triton.jit
def add_measured_kernel(
    x_ptr,
    y_ptr,
    out_ptr,
    shift_ptr,
    first,
    mean_ptr,
    squares_ptr,
    positions,
    rows_per_chunk,
    channels,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """x + y + shift, and its moments over a chunk of positions as :func:`channel_moments_kernel` takes them."""
    wait_for_previous()
    chunk, sample = tl.program_id(1), tl.program_id(2).to(tl.int64)
    begin = chunk * rows_per_chunk
    end = tl.minimum(begin + rows_per_chunk, positions)
    row, channel = tl.arange(0, ROWS)[:, None], tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    shift = tl.load(shift_ptr + tl.where(sample < first, 0, channels) + channel).to(tl.float32)
    base = sample * positions * channels + channel
    start = base + begin * channels
    pivot = tl.load(x_ptr + start).to(tl.float32) + tl.load(y_ptr + start).to(tl.float32) + shift
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    squares = tl.zeros((ROWS, COLUMNS), tl.float32)
    for top in tl.range(begin, end, ROWS, num_stages=3):
        inside = top + row < end
        offsets = base + (top + row) * channels
        x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        total = x + tl.load(y_ptr + offsets, mask=inside, other=0.0).to(tl.float32) + shift
        rounded = total.to(out_ptr.dtype.element_ty)
        tl.store(out_ptr + offsets, rounded, mask=inside)
        apart = tl.where(inside, rounded.to(tl.float32) - pivot, 0.0)
        sums += apart
        squares += apart * apart
    at = (sample * tl.num_programs(1) + chunk) * channels + tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    _store_moments(mean_ptr + at, squares_ptr + at, tl.sum(sums, 0), tl.sum(squares, 0), tl.sum(pivot, 0), end - begin)


@triton.jit
def group_affine_kernel(
    mean_ptr,
    squares_ptr,
    weight_ptr,
    bias_ptr,
    shift_ptr,
    first,
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
    """One group of one sample: the group norm of x + shift is x · factor + offset, channel by channel."""
    wait_for_previous()
    sample = tl.program_id(1).to(tl.int64)
    used = tl.arange(0, COLUMNS) < WIDTH
    channel = tl.program_id(0) * WIDTH + tl.arange(0, COLUMNS)
    each = tl.arange(0, CHUNKS)[:, None]
    known = (each < chunks) & used[None, :]
    at = (sample * chunks + each) * channels + channel[None, :]
    shift = tl.zeros((COLUMNS,), tl.float32)
    if SHIFTED:
        shift = tl.load(shift_ptr + tl.where(sample < first, 0, channels) + channel, mask=used, other=0.0).to(
            tl.float32
        )
    counts = tl.maximum(tl.minimum(positions - each * rows_per_chunk, rows_per_chunk), 0) * 1.0
    means = tl.load(mean_ptr + at, mask=known, other=0.0) + shift[None, :]
    total = positions * WIDTH * 1.0
    mean = tl.sum(tl.sum(tl.where(known, means * counts, 0.0), axis=1), axis=0) / total
    apart = means - mean
    squares = tl.load(squares_ptr + at, mask=known, other=0.0) + tl.where(known, apart * apart * counts, 0.0)
    scale = tl.rsqrt(tl.sum(tl.sum(squares, axis=1), axis=0) / total + eps)
    factor = scale * tl.load(weight_ptr + channel, mask=used, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + channel, mask=used, other=0.0).to(tl.float32)
    tl.store(factor_ptr + sample * channels + channel, factor, mask=used)
    tl.store(offset_ptr + sample * channels + channel, bias + (shift - mean) * factor, mask=used)


@triton.jit
def channel_affine_kernel(
    x_ptr,
    skip_ptr,
    y_ptr,
    factor_ptr,
    offset_ptr,
    positions,
    x_channels,
    channels,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    JOINED: tl.constexpr,
    SILU: tl.constexpr,
):
    """x · factor + offset, then SiLU if asked for."""
    wait_for_previous()
    sample = tl.program_id(2).to(tl.int64)
    start = tl.program_id(0) * COLUMNS
    channel = start + tl.arange(0, COLUMNS)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    inside = row < positions
    place = sample * positions + row
    x = _load_block(x_ptr, skip_ptr, place, start, inside, x_channels, channels, COLUMNS, JOINED)
    y = x * tl.load(factor_ptr + sample * channels + channel)[None, :]
    y += tl.load(offset_ptr + sample * channels + channel)[None, :]
    if SILU:
        y = y * tl.sigmoid(y)
    tl.store(y_ptr + place * channels + channel[None, :], y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def patches_kernel(
    x_ptr, y_ptr, high, wide, y_high, y_wide, stride, times, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """The 3 × 3 patches, ``stride`` apart, of a map of ``high`` × ``wide`` whose positions count ``times`` as many."""
    wait_for_previous()
    sample = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    inside = (row < y_high * y_wide) & (channel < channels)
    down, across = row // y_wide * stride, row % y_wide * stride
    y_at = y_ptr + (sample * y_high * y_wide + row) * 9 * channels + channel
    for tap in tl.static_range(9):
        y, x = down + tap // 3 - 1, across + tap % 3 - 1
        seen = inside & (y >= 0) & (y < high * times) & (x >= 0) & (x < wide * times)
        at = x_ptr + ((sample * high + y // times) * wide + x // times) * channels + channel
        tl.store(y_at + tap * channels, tl.load(at, mask=seen, other=0.0), mask=inside)


@triton.jit
def upsample_kernel(x_ptr, y_ptr, width, positions, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Every position four times: twice the height and the width. ``width``, ``positions``: of the result."""
    wait_for_previous()
    sample = tl.program_id(2).to(tl.int64)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    inside = (row < positions) & (channel < channels)
    source = sample * (positions // 4) + (row // width // 2) * (width // 2) + row % width // 2
    x = tl.load(x_ptr + source * channels + channel, mask=inside, other=0.0)
    tl.store(y_ptr + (sample * positions + row) * channels + channel, x, mask=inside)


@triton.jit
def add_shifted_kernel(
    x_ptr,
    y_ptr,
    shift_ptr,
    first,
    positions,
    channels,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    ADD: tl.constexpr,
):
    """x += y + shift, or without ADD x += shift."""
    wait_for_previous()
    sample = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    used = channel < channels
    inside = (row < positions) & used[None, :]
    offsets = (sample * positions + row) * channels + channel[None, :]
    shift = tl.load(shift_ptr + tl.where(sample < first, 0, channels) + channel, mask=used, other=0.0).to(tl.float32)
    x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        x = x + tl.load(y_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    tl.store(x_ptr + offsets, (x + shift[None, :]).to(x_ptr.dtype.element_ty), mask=inside)


@triton.jit
def add_padded_kernel(
    x_ptr, y_ptr, out_ptr, shift_ptr, first, high, wide, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """x + y + shift, maps of ``high`` × ``wide``, and zeros in the one row and column more that the result has."""
    wait_for_previous()
    sample = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    used = channel < channels
    down, across = row // (wide + 1), row % (wide + 1)
    inside = (down < high) & (across < wide) & used[None, :]
    offsets = ((sample * high + down) * wide + across) * channels + channel[None, :]
    shift = tl.load(shift_ptr + tl.where(sample < first, 0, channels) + channel, mask=used, other=0.0).to(tl.float32)
    x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    x = x + tl.load(y_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    total = tl.where(inside, x + shift[None, :], 0.0).to(out_ptr.dtype.element_ty)
    place = sample * (high + 1) * (wide + 1) + row
    tl.store(out_ptr + place * channels + channel[None, :], total, mask=(down <= high) & used[None, :])
