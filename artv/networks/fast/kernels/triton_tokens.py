"""The Triton side of :mod:`artv.networks.fast.kernels.tokens`."""

import triton
import triton.language as tl

from artv.networks.fast.kernels.triton_wait import wait_for_previous


@triton.jit
def layer_norm_kernel(
    x_ptr,
    delta_ptr,
    y_ptr,
    weight_ptr,
    bias_ptr,
    shift_ptr,
    sum_ptr,
    sum_row,
    count,
    eps,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    ADD: tl.constexpr,
    SHIFTED: tl.constexpr,
):
    """ROWS whole rows of x + shift. With ADD, of x + delta + shift, which is also stored, rounded before it is
    normalised, in rows ``sum_row`` apart.
    """
    wait_for_previous()
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    used = column < WIDTH
    inside = (row < count)[:, None] & used[None, :]
    offsets = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    if SHIFTED:
        x = x + tl.load(shift_ptr + column, mask=used, other=0.0).to(tl.float32)[None, :]
    if ADD:
        x = x + tl.load(delta_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        rounded = x.to(sum_ptr.dtype.element_ty)
        tl.store(sum_ptr + row.to(tl.int64)[:, None] * sum_row + column[None, :], rounded, mask=inside)
        x = rounded.to(tl.float32)
    mean = tl.sum(x, axis=1) / WIDTH
    centred = tl.where(inside, x - mean[:, None], 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, axis=1) / WIDTH + eps)
    weight = tl.load(weight_ptr + column, mask=used, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + column, mask=used, other=0.0).to(tl.float32)
    y = centred * scale[:, None] * weight[None, :] + bias[None, :]
    tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def linear_geglu_kernel(
    x_desc, weight_desc, bias_ptr, y_desc, rows, width, K: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
):  # fmt: skip
    """The value half of x · weightᵀ + bias times the exact GELU of its gate half, which never reaches memory.

    Blocks are read and written by Hopper's tensor memory unit. Tiles are ordered in bands of eight rows of tiles, which
    share what they read.
    """
    wait_for_previous()
    tile, across, down = tl.program_id(0), width // COLUMNS, tl.cdiv(rows, ROWS)
    band = tile // (8 * across) * 8
    high = tl.minimum(down - band, 8)
    row = (band + tile % (8 * across) % high) * ROWS
    column = tile % (8 * across) // high * COLUMNS
    value = tl.zeros((ROWS, COLUMNS), tl.float32)
    gate = tl.zeros((ROWS, COLUMNS), tl.float32)
    for k in range(0, K, DEPTH):
        x = x_desc.load([row, k])
        value = tl.dot(x, weight_desc.load([column, k]).T, value)
        gate = tl.dot(x, weight_desc.load([width + column, k]).T, gate)
    bias_at = bias_ptr + column + tl.arange(0, COLUMNS)
    value += tl.load(bias_at)[None, :].to(tl.float32)
    gate += tl.load(bias_at + width)[None, :].to(tl.float32)
    y = value * gate * (0.5 + 0.5 * tl.erf(gate * 0.7071067811865476))
    y_desc.store([row, column], y.to(y_desc.dtype))


@triton.jit
def geglu_kernel(x_ptr, y_ptr, y_row, count, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The value half of a row times the exact GELU of its gate half, in rows ``y_row`` apart."""
    wait_for_previous()
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    inside = (row < count) & (column < width)
    value = tl.load(x_ptr + row * 2 * width + column, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(x_ptr + row * 2 * width + width + column, mask=inside, other=0.0).to(tl.float32)
    y = value * gate * (0.5 + 0.5 * tl.erf(gate * 0.7071067811865476))
    tl.store(y_ptr + row * y_row + column, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def attention_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    q_sample,
    q_head,
    q_token,
    k_sample,
    k_head,
    k_token,
    v_sample,
    v_head,
    v_token,
    heads,
    tokens,
    keys,
    scale,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    EVEN: tl.constexpr,
):
    """Softmax attention of ROWS queries of one head, keys in blocks of COLUMNS with a running maximum
    (Dao 2023, FlashAttention-2, Algorithm 1). ``scale`` includes log2(e); EVEN: keys are a multiple of COLUMNS.
    Strides are given for inputs; the output is (B, tokens, heads · WIDTH).
    """
    wait_for_previous()
    sample, head = (tl.program_id(1) // heads).to(tl.int64), tl.program_id(1) % heads
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    width = tl.arange(0, WIDTH)
    inside = (row < tokens)[:, None]
    q_at = q_ptr + sample * q_sample + head * q_head + row[:, None] * q_token + width[None, :]
    k_at = k_ptr + sample * k_sample + head * k_head + column[None, :] * k_token + width[:, None]
    v_at = v_ptr + sample * v_sample + head * v_head + column[:, None] * v_token + width[None, :]
    q = tl.load(q_at, mask=inside, other=0.0)
    highest = tl.full((ROWS,), -float("inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    sums = tl.zeros((ROWS, WIDTH), tl.float32)
    for start in range(0, keys, COLUMNS):
        there = start + column < keys
        if EVEN:  # a mask would cost registers  # noqa: SIM108
            k = tl.load(k_at + start * k_token)
        else:
            k = tl.load(k_at + start * k_token, mask=there[None, :], other=0.0)
        scores = tl.dot(q, k)
        if not EVEN:
            scores = tl.where(there[None, :], scores, -float("inf"))
        higher = tl.maximum(highest, tl.max(scores, axis=1) * scale)
        shares = tl.math.exp2(scores * scale - higher[:, None])
        kept = tl.math.exp2(highest - higher)
        total = total * kept + tl.sum(shares, axis=1)
        if EVEN:  # noqa: SIM108
            v = tl.load(v_at + start * v_token)
        else:
            v = tl.load(v_at + start * v_token, mask=there[:, None], other=0.0)
        sums = tl.dot(shares.to(v.dtype), v, sums * kept[:, None])
        highest = higher
    out_at = out_ptr + (sample * tokens + row[:, None]) * heads * WIDTH + head * WIDTH + width[None, :]
    tl.store(out_at, (sums / total[:, None]).to(out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def softmax_kernel(x_ptr, y_ptr, count, scale, COLUMNS: tl.constexpr):
    """One row of ``count`` values: the softmax of x · scale, rounded at the end. ``scale`` includes log2(e)."""
    wait_for_previous()
    start = tl.program_id(0).to(tl.int64) * count
    column = tl.arange(0, COLUMNS)
    inside = column < count
    x = tl.load(x_ptr + start + column, mask=inside, other=-float("inf")) * scale
    shares = tl.math.exp2(x - tl.max(x, axis=0))
    y = shares / tl.sum(shares, axis=0)
    tl.store(y_ptr + start + column, y.to(y_ptr.dtype.element_ty), mask=inside)
