"""Where a command runs. One check for all of them; torch is imported only to look for GPUs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from artv.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def cores() -> int:
    """CPU cores that this process may use: of a node with 64, those that a scheduler gave it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def at_most(threads: int) -> Iterator[None]:
    """Keeps torch to so many threads for whoever calls it, which is each thread by itself."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(min(before, threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sent(x: "Tensor", device: "torch.device") -> "Tensor":
    """``x``, of the CPU, on the device. Its copy is begun here, and a GPU's earlier work is not waited for, as it is to
    copy memory that may be paged out.
    """
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def chosen_device(device: str | None, *, option: str = "--device", meta: bool = False) -> str:
    """``device``, which this machine has; None stands for a GPU if there is one, else the CPU.

    Args:
        option: what it was given with, for errors.
        meta: whether ``meta`` (shapes without numbers) is allowed; it is then what None stands for without a GPU.

    Raises:
        UserError: neither ``cpu``, ``cuda`` nor ``cuda:N``, or a GPU that is not there.
    """
    if device == "cpu" or (device == "meta" and meta):
        return device
    kind, colon, index = (device or "cuda").partition(":")
    if kind != "cuda" or (colon and not index.isdigit()):
        raise UserError(f"{option} is {device!r}; it must be cpu, cuda or cuda:N{', or meta' if meta else ''}")
    import torch

    gpus = torch.cuda.device_count()
    if int(index or 0) < gpus:
        return device or "cuda"
    if device is None:
        return "meta" if meta else "cpu"
    use = "meta for parameters and FLOPs" if meta else "cpu"
    raise UserError(f"{option} is {device!r} and this machine has {gpus} GPUs; use {option} {use}")
