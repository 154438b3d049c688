"""Where kernels run, and with what options."""

import os
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

ENABLED = find_spec("triton") is not None
"""Turn off to compare with PyTorch's operations."""

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Triton's interpreter runs the kernels on a CPU too, slowly: for tests."""

HALF = (torch.bfloat16, torch.float16)


def runs_on(x: Tensor) -> bool:
    """Whether kernels take the place of PyTorch's operations for this tensor."""
    return ENABLED and (x.is_cuda or INTERPRETED)


@cache
def overlaps() -> bool:
    """Whether kernels are launched ahead of the end of the one before, for which they wait themselves
    (programmatic dependent launch: NVIDIA's Hopper and later, Triton 3.5).
    """
    if INTERPRETED or not ENABLED or torch.version.hip is not None or not torch.cuda.is_available():
        return False
    import triton  # late, because it takes long

    new = tuple(map(int, triton.__version__.split(".")[:2])) >= (3, 5)
    return new and all(torch.cuda.get_device_capability(i) >= (9, 0) for i in range(torch.cuda.device_count()))


def launch_options() -> dict[str, bool]:
    """Options of every launch."""
    return {"launch_pdl": True} if overlaps() else {}


def power_of_two(n: int) -> int:
    """The next one, or ``n`` itself."""
    return 1 << (n - 1).bit_length()


def block_of(n: int) -> int:
    """Columns a program: the largest power of two up to 512 in ``n``, so that none are idle; at least 64."""
    return max(min(n & -n, 512), min(64, power_of_two(n)))
