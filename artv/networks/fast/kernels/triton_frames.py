"""The Triton side of :mod:`artv.networks.fast.kernels.frames`."""

import triton
import triton.language as tl

from artv.networks.fast.kernels.triton_wait import wait_for_previous


@triton.jit
def convolve_frames_kernel(x_ptr, matrix_ptr, y_ptr, high, wide, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """ROWS pixels of one line, all COLUMNS channels: the product of their 27 neighbours and the matrix.

    Of three colours, which lie apart in ``x``; in the matrix (COLUMNS, 27) those of a neighbour follow each other.
    """
    wait_for_previous()
    frame, down = tl.program_id(2).to(tl.int64), tl.program_id(1)
    across = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    tap = tl.arange(0, 32)
    place, colour = tap // 3, tap % 3
    y = (down + place // 3 - 1)[None, :]
    x = across[:, None] + (place % 3 - 1)[None, :]
    seen = (tap < 27)[None, :] & (y >= 0) & (y < high) & (x >= 0) & (x < wide)
    value = tl.load(x_ptr + ((frame * 3 + colour[None, :]) * high + y) * wide + x, mask=seen, other=0)
    unit = tl.where(seen, value.to(tl.float32) / 127.5 - 1.0, 0.0)
    channel = tl.arange(0, COLUMNS)[None, :]
    matrix = tl.load(
        matrix_ptr + channel * 27 + tap[:, None], mask=(tap < 27)[:, None] & (channel < COLUMNS), other=0.0
    )
    sums = tl.dot(unit.to(matrix.dtype), matrix)
    at = y_ptr + ((frame * high + down) * wide + across[:, None]) * COLUMNS + channel
    tl.store(at, sums.to(y_ptr.dtype.element_ty), mask=(across < wide)[:, None])
