"""The Triton side of :mod:`artv.training.fast.sums`."""

import triton
import triton.language as tl


@triton.jit
def column_sums_kernel(
    x_ptr, keep_ptr, value_ptr, y_ptr, partial_ptr, count, each, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    KEEP: tl.constexpr, POSITIVE: tl.constexpr,
):  # fmt: skip
    """Partial sums over the rows of x; with KEEP times a number for every ``each`` rows, with POSITIVE where a value is
    positive. What is summed is then also stored.
    """
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    used = column < width
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in tl.range(tl.program_id(0) * ROWS, count, tl.num_programs(0) * ROWS, num_stages=3):
        row = (first + tl.arange(0, ROWS)).to(tl.int64)
        inside = (row < count)[:, None] & used[None, :]
        offsets = row[:, None] * width + column[None, :]
        x = tl.load(x_ptr + offsets, mask=inside, other=0.0).to(tl.float32)
        if KEEP:
            x *= tl.load(keep_ptr + row // each, mask=row < count, other=0.0).to(tl.float32)[:, None]
        if POSITIVE:
            x = tl.where(tl.load(value_ptr + offsets, mask=inside, other=0.0) > 0, x, 0.0)
        if KEEP or POSITIVE:
            tl.store(y_ptr + offsets, x.to(y_ptr.dtype.element_ty), mask=inside)
        sums += x
    tl.store(partial_ptr + tl.program_id(0) * width + column, tl.sum(sums, axis=0), mask=used)


@triton.jit
def finish_sums_kernel(partial_ptr, sums_ptr, count, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Sums over the second axis of three: (K, count, width)."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    used = column < width
    start = partial_ptr + tl.program_id(1).to(tl.int64) * count * width
    sums = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in tl.range(0, count, ROWS, num_stages=3):
        row = first + tl.arange(0, ROWS)
        inside = (row < count)[:, None] & used[None, :]
        sums += tl.load(start + row[:, None] * width + column[None, :], mask=inside, other=0.0)
    tl.store(sums_ptr + tl.program_id(1) * width + column, tl.sum(sums, axis=0), mask=used)
