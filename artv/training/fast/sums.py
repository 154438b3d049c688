"""Sums over rows, such as gradients of biases: programs sum some of the rows each, one kernel more what they found.

PyTorch takes two to four times as long for the second of these, of which a step has several hundred.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from artv.networks.fast.kernels.launching import block_of

PROGRAMS = 528  # four for each of a large GPU's processors; each leaves partial sums


def column_sums(
    x: Tensor, *, keep_B: Tensor | None = None, positive: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """Sums over all axes but the last, float32, of ``keep · x``, a number for each first index, or of ``x`` where
    another tensor is positive. ``out``: gets what is summed.
    """
    count, rows, columns = row_tile(x)
    across = -(-x.shape[-1] // columns)
    programs = max(min(-(-count // rows), PROGRAMS // across), 1)
    partial = torch.empty(1, programs, x.shape[-1], dtype=torch.float32, device=x.device)
    keep, value, y = (x if given is None else given for given in (keep_B, positive, out))
    _kernels().column_sums_kernel[(programs, across)](
        *(x, keep, value, y, partial, count, count // len(x), x.shape[-1]),
        **{"ROWS": rows, "COLUMNS": columns, "KEEP": keep_B is not None, "POSITIVE": positive is not None},
        num_warps=4,
    )
    return finished(partial)[0]


def finished(partial_KNC: Tensor) -> Tensor:
    """Sums over the second axis: (K, N, C) to (K, C), float32."""
    K, N, C = partial_KNC.shape
    sums = partial_KNC.new_empty(K, C)
    _kernels().finish_sums_kernel[(-(-C // 16), K)](partial_KNC, sums, N, C, ROWS=128, COLUMNS=16, num_warps=4)
    return sums


def row_tile(x: Tensor) -> tuple[int, int, int]:
    """Rows in all, and rows and columns of a program's tile."""
    columns = block_of(x.shape[-1])
    return x.numel() // x.shape[-1], max(2048 // columns, 1), columns


@cache
def _kernels() -> Any:
    # Triton takes long to import, and CPUs never need it
    from artv.training.fast import triton_sums

    return triton_sums
