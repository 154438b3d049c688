"""Reading ahead in worker processes, without their tracebacks, and without waiting for ever."""

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from artv.errors import UserError, WorkFailed

SHARED_MEMORY = Path("/dev/shm")
ROOM = 2**28
"""Bytes: workers hand their batches over there, and what finds no room in it is killed, or waits for ever."""

SHARE = 0.5
"""The part of the free shared memory that batches which were read ahead may take."""

PATIENCE = 600.0  # seconds for which a batch may take

MOST_READERS = 16


class TimedOut(WorkFailed):
    """A worker gave nothing for too long."""


def read_ahead(
    dataset: Dataset, *, num_workers: int, batch_bytes: float = 0.0, patience: float = PATIENCE, **options: Any
) -> Iterator[Any]:
    """What a ``DataLoader`` with these options yields; with fewer batches ahead, or without workers, where they would
    find no room.

    Args:
        batch_bytes: of a batch, where it is known.
        patience: seconds that a batch may take.

    Raises:
        TimedOut: one took longer.
        WorkFailed: an error of ours in a worker, in the line that it had there (torch makes a traceback its message); a
            worker that was killed.
    """
    ahead = _batches_ahead(num_workers, batch_bytes)
    if ahead:
        options |= {"num_workers": num_workers, "timeout": patience, "prefetch_factor": ahead}
    try:
        gc.collect()  # a reader that is garbage would be freed by a worker, and wait there for this process's threads
        yield from DataLoader(dataset, **options)
    except (UserError, WorkFailed) as error:
        name = f"{type(error).__module__}.{type(error).__qualname__}: "
        raise WorkFailed(str(error).strip().splitlines()[-1].removeprefix(name)) from None
    except RuntimeError as error:
        if not str(error).startswith("DataLoader "):
            raise
        if "timed out" in str(error):
            raise TimedOut(f"reading ahead gave nothing for {patience:.0f} seconds") from None
        raise WorkFailed(f"reading ahead failed: {' '.join(str(error).split())[:200]}") from None


def readers() -> int:
    """Worker processes that decode for this one: its share of the cores of a machine, at least 2."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(2, min(MOST_READERS, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _batches_ahead(workers: int, batch_bytes: float) -> int:
    """Batches that each worker may have ready, 2 or 1; 0: no workers, of which it is told."""
    if not workers:
        return 0
    free = shared_memory()
    fitting = SHARE * free / (workers * batch_bytes) if batch_bytes else 2
    if free >= ROOM and fitting >= 1:
        return 2 if fitting >= 2 else 1
    needed = max(ROOM, int(workers * batch_bytes / SHARE))
    print(
        f"{SHARED_MEMORY} has room for {free >> 20} MiB, too little for {workers} worker processes: without them "
        f"reading takes longer; give it {-(-needed >> 20)} MiB (docker run --shm-size)",
        file=sys.stderr,
    )
    return 0


def shared_memory() -> int:
    """Free bytes where processes share memory; as good as endless where there is no such place."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 2**62
