"""The Triton side of :mod:`artv.training.fast.resampling`. Maps are channels-last; their rows are positions of all
samples, since a sample's lines follow those of the one before as its own do.
"""

import triton
import triton.language as tl


@triton.jit
def _places(count, wide, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Where values are in the smaller map, ``wide`` positions across; where the first of their four is in the larger
    one; whether they are there at all.
    """
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    first = row // wide * 4 * wide + row % wide * 2
    return row * width + column, first * width + column, (row < count) & (column < width)


@triton.jit
def halve_kernel(x_ptr, y_ptr, factor, count, wide, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A factor times the sum of four positions."""
    small, large, inside = _places(count, wide, width, ROWS, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for place in tl.static_range(4):
        at = x_ptr + large + (place // 2 * 2 * wide + place % 2) * width
        total += tl.load(at, mask=inside, other=0.0).to(tl.float32)
    tl.store(y_ptr + small, (factor * total).to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def double_kernel(x_ptr, y_ptr, factor, count, wide, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A factor times each position, four times."""
    small, large, inside = _places(count, wide, width, ROWS, COLUMNS)
    y = factor * tl.load(x_ptr + small, mask=inside, other=0.0).to(tl.float32)
    for place in tl.static_range(4):
        at = y_ptr + large + (place // 2 * 2 * wide + place % 2) * width
        tl.store(at, y.to(y_ptr.dtype.element_ty), mask=inside)
