"""How exactly extractors compute: float32, unless a protocol asks for less.

cuDNN multiplies float32 convolutions in TF32 (10 bits of mantissa) if nobody forbids it, so the same clips would have
other features on a GPU than on a CPU. What is allowed here goes into the extractor's digest, and so into cache keys.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal, get_args

import torch

from artv.errors import UserError

Precision = Literal["float32", "tf32"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


def _check(name: str) -> None:
    if name not in PRECISIONS:
        raise UserError(f"precision is {name!r}; it must be {' or '.join(PRECISIONS)}")


@contextmanager
def switched(name: str = "float32") -> Iterator[None]:
    """The same as :func:`precision`, for all threads: what they launch unless they say otherwise themselves."""
    _check(name)
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = name == "tf32"
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


class _Turns:
    """Torch's switches are the whole process's: threads of one precision go together, those of another wait for them.

    In the order in which they come, so that nobody waits for ever.
    """

    def __init__(self) -> None:
        self._changed, self._waiting = threading.Condition(), list[str]()
        self._name, self._inside, self._back = "", 0, ExitStack()

    def enter(self, name: str) -> None:
        """Waits for a turn."""
        with self._changed:
            self._waiting.append(name)
            try:
                self._changed.wait_for(lambda: self._waiting[0] == name and (not self._inside or self._name == name))
            finally:  # also where it is interrupted
                self._waiting.remove(name)
                self._changed.notify_all()
            if not self._inside:
                self._name = name
                self._back.enter_context(switched(name))
            self._inside += 1

    def leave(self) -> None:
        """Ends it."""
        with self._changed:
            self._inside -= 1
            if not self._inside:
                self._back.close()
            self._changed.notify_all()


class _Own(threading.local):
    """The precision in which the calling thread works."""

    name: str | None = None


_TURNS, _OWN = _Turns(), _Own()


@contextmanager
def precision(name: str = "float32") -> Iterator[None]:
    """Convolutions and matrix products of float32 in ``float32``, or in ``tf32`` where a GPU has it.

    Meanwhile no thread works in another precision, unless by :func:`switched`.
    """
    _check(name)
    outer = _OWN.name
    if outer is not None:  # it comes again after the inner one
        _TURNS.leave()
    _TURNS.enter(name)
    _OWN.name = name
    try:
        yield
    finally:
        _OWN.name = outer
        _TURNS.leave()
        if outer is not None:
            _TURNS.enter(outer)


@contextmanager
def inference(name: str = "float32") -> Iterator[None]:
    """No gradients, and a fixed :func:`precision`; also a decorator."""
    with torch.inference_mode(), precision(name):
        yield
