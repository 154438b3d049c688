"""The Triton side of :mod:`artv.training.fast.tokens`: rows of tokens, and what flows back through them.

Programs go over many rows each, so that sums over rows (gradients of weights and biases) stay in registers until the
end; a row of partial sums a program is left to add up.
"""

import triton
import triton.language as tl


@triton.jit
def layer_norm_backward_kernel(
    x_ptr,
    dy_ptr,
    passed_ptr,
    weight_ptr,
    dx_ptr,
    partial_ptr,
    count,
    eps,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    PASSED: tl.constexpr,
):
    """The gradient of x through its layer norm, with PASSED plus the one past it. Partial sums: of dy · x̂ (weight), of
    dy (bias), of the result (a bias that x holds).
    """
    column = tl.arange(0, COLUMNS)
    used = column < WIDTH
    weight = tl.load(weight_ptr + column, mask=used, other=0.0).to(tl.float32)
    d_weight = tl.zeros((ROWS, COLUMNS), tl.float32)
    d_bias = tl.zeros((ROWS, COLUMNS), tl.float32)
    d_held = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in tl.range(tl.program_id(0) * ROWS, count, tl.num_programs(0) * ROWS, num_stages=3):
        row = first + tl.arange(0, ROWS)
        inside = (row < count)[:, None] & used[None, :]
        offsets = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
        x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        dy = tl.load(dy_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        mean = tl.sum(x, axis=1) / WIDTH
        centred = tl.where(inside, x - mean[:, None], 0.0)
        scale = tl.rsqrt(tl.sum(centred * centred, axis=1) / WIDTH + eps)
        normed = centred * scale[:, None]
        inner = dy * weight[None, :]
        along = tl.sum(inner * normed, axis=1) / WIDTH
        dx = scale[:, None] * (inner - (tl.sum(inner, axis=1) / WIDTH)[:, None] - normed * along[:, None])
        if PASSED:
            dx += tl.load(passed_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        dx = tl.where(inside, dx, 0.0)
        tl.store(dx_ptr + offsets, dx.to(dx_ptr.dtype.element_ty), mask=inside)
        d_weight += dy * normed
        d_bias += dy
        d_held += dx
    at = partial_ptr + tl.program_id(0) * WIDTH + column
    step = tl.num_programs(0) * WIDTH
    tl.store(at, tl.sum(d_weight, axis=0), mask=used)
    tl.store(at + step, tl.sum(d_bias, axis=0), mask=used)
    tl.store(at + 2 * step, tl.sum(d_held, axis=0), mask=used)


@triton.jit
def geglu_backward_kernel(
    x_ptr, dy_ptr, dx_ptr, y_ptr, partial_ptr, count, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """Gradient of y = value · GELU(gate), x = (value, gate): dx, y again, partial sums of dx (a bias in x)."""
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    used = column < width
    d_value_bias = tl.zeros((ROWS, COLUMNS), tl.float32)
    d_gate_bias = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in tl.range(tl.program_id(0) * ROWS, count, tl.num_programs(0) * ROWS, num_stages=2):
        row = (first + tl.arange(0, ROWS)).to(tl.int64)[:, None]
        inside = (row < count) & used[None, :]
        at, half = row * 2 * width + column[None, :], row * width + column[None, :]
        value = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
        gate = tl.load(x_ptr + at + width, mask=inside, other=0.0).to(tl.float32)
        dy = tl.load(dy_ptr + half, mask=inside, other=0.0).to(tl.float32)
        below = 0.5 + 0.5 * tl.erf(gate * 0.7071067811865476)
        density = tl.exp(-0.5 * gate * gate) * 0.3989422804014327
        d_value, d_gate = dy * gate * below, dy * value * (below + gate * density)
        tl.store(y_ptr + half, (value * gate * below).to(y_ptr.dtype.element_ty), mask=inside)
        tl.store(dx_ptr + at, d_value.to(dx_ptr.dtype.element_ty), mask=inside)
        tl.store(dx_ptr + at + width, d_gate.to(dx_ptr.dtype.element_ty), mask=inside)
        d_value_bias += d_value
        d_gate_bias += d_gate
    at = partial_ptr + tl.program_id(0) * 2 * width + column
    tl.store(at, tl.sum(d_value_bias, axis=0), mask=used)
    tl.store(at + width, tl.sum(d_gate_bias, axis=0), mask=used)


@triton.jit
def residual_kernel(
    x_ptr, delta_ptr, bias_ptr, keep_ptr, y_ptr, count, each, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    KEEP: tl.constexpr,
):  # fmt: skip
    """x + keep · (delta + bias); ``keep``: a number for every ``each`` rows."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    used = column < width
    inside = (row < count)[:, None] & used[None, :]
    offsets = row[:, None] * width + column[None, :]
    delta = tl.load(delta_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
    delta += tl.load(bias_ptr + column, mask=used, other=0.0).to(tl.float32)[None, :]
    if KEEP:
        delta *= tl.load(keep_ptr + row // each, mask=row < count, other=0.0).to(tl.float32)[:, None]
    y = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32) + delta
    tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def bias_kernel(
    x_ptr, bias_ptr, count, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr, RELU: tl.constexpr
):  # fmt: skip
    """x + bias in place, then ReLU if asked for."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    used = column < width
    inside = (row < count)[:, None] & used[None, :]
    at = x_ptr + row[:, None] * width + column[None, :]
    y = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    y += tl.load(bias_ptr + column, mask=used, other=0.0).to(tl.float32)[None, :]
    if RELU:
        y = tl.maximum(y, 0.0)
    tl.store(at, y.to(x_ptr.dtype.element_ty), mask=inside)
