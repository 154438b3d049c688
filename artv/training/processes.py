"""The processes that train together (torch.distributed). With one process everything here costs nothing.

A decision that hangs on a clock (save now? stop now?) must be the same everywhere, or the processes wait for each other
forever: each says what it knows, and all do what any of them asks for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from artv.errors import WorkFailed

T = TypeVar("T")

_ENDED = "another process of this training has ended; its own message says why"
_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited")
"""What gloo and NCCL say in the middle of a training step when a process is gone."""


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this is the process that writes and shows progress."""
    return rank() == 0


def any_of(*answers: bool) -> tuple[bool, ...]:
    """For each question whether any process says yes; the same everywhere."""
    if world() == 1:
        return answers
    said = torch.tensor(answers, dtype=torch.uint8)
    with _others() as group:
        dist.all_reduce(said, dist.ReduceOp.MAX, group=group)
    return tuple(bool(x) for x in said)


def mean(value: float) -> float:
    """The average over the processes."""
    return sum(gather(value)) / world()


def gather(value: T) -> list[T]:
    """Every process's value, in the order of their ranks; the same list everywhere."""
    if world() == 1:
        return [value]
    values: list[T] = [value] * world()
    with _others() as group:
        dist.all_gather_object(values, value, group=group)
    return values


def wait() -> None:
    """Returns when every process has come here."""
    gather(None)


def leave(*, failed: bool = False) -> None:
    """Ends the exchange: threads of gloo that outlive the interpreter's end would abort the process.

    Args:
        failed: the others may never come here; NCCL, which would wait for them, is left as it is.
    """
    if _host_group.cache_info().currsize:
        dist.destroy_process_group(_host_group())
        _host_group.cache_clear()
    if dist.is_initialized() and not (failed and dist.get_backend() != "gloo"):
        dist.destroy_process_group()


@contextmanager
def leaving() -> Iterator[None]:
    """Calls :func:`leave` at the end, also of work that failed. A ``with`` block or a decorator."""
    try:
        yield
    except BaseException as error:
        several = world() > 1
        leave(failed=True)
        if several and isinstance(error, RuntimeError) and any(sign in str(error) for sign in _LOST):
            raise WorkFailed(_ENDED) from None
        raise
    leave()


@contextmanager
def _others() -> Iterator[Any]:
    try:
        yield _host_group()
    except RuntimeError:  # gloo's, of a closed connection
        raise WorkFailed(_ENDED) from None


@lru_cache(maxsize=1)
def _host_group() -> Any:
    # gloo also beside NCCL: asking must not wait for the GPU. A failed process is ended by the launcher, not by time.
    return dist.new_group(backend="gloo", timeout=timedelta(days=1))
