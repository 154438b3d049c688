"""How exactly extractors compute: float32, unless a protocol asks for less.

cuDNN multiplies float32 convolutions in TF32 (10 bits of mantissa) if nobody forbids it, so the same clips would have
other features on a GPU than on a CPU. What is allowed here goes into the extractor's digest, and so into cache keys.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

from artv.errors import UserError

Precision = Literal["float32", "tf32"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
_LOCK = (
    threading.RLock()
)  # torch's switches are the whole process's: one thread's TF32 must not reach another's float32


@contextmanager
def switched(name: str = "float32") -> Iterator[None]:
    """The same as :func:`precision`, for all threads: what they launch unless they say otherwise themselves."""
    if name not in PRECISIONS:
        raise UserError(f"precision is {name!r}; it must be {' or '.join(PRECISIONS)}")
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = name == "tf32"
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


@contextmanager
def precision(name: str = "float32") -> Iterator[None]:
    """Convolutions and matrix products of float32 in ``float32``, or in ``tf32`` where a GPU has it.

    One thread at a time: what another launched meanwhile would be computed in the same way.
    """
    with _LOCK, switched(name):
        yield


@contextmanager
def inference(name: str = "float32") -> Iterator[None]:
    """No gradients, and a fixed :func:`precision`; also a decorator."""
    with torch.inference_mode(), precision(name):
        yield
