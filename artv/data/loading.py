"""Reading ahead in worker processes, without their tracebacks, and without waiting for ever."""

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

PATIENCE = 600.0  # seconds for which a batch may take


def read_ahead(dataset: Dataset, *, num_workers: int, **options: Any) -> Iterator[Any]:
    """What a ``DataLoader`` with these options yields; without workers where they would find no room.

    Raises:
        WorkFailed: an error of ours in a worker, in the line that it had there (torch makes a traceback its message); a
            worker that was killed, or gave nothing for ten minutes.
    """
    if num_workers and (free := shared_memory()) < ROOM:
        print(
            f"{SHARED_MEMORY} has room for {free >> 20} MiB, too little for worker processes: without them reading "
            f"takes longer; give it {ROOM >> 20} MiB (docker run --shm-size)",
            file=sys.stderr,
        )
        num_workers = 0
    try:
        yield from DataLoader(dataset, num_workers=num_workers, timeout=PATIENCE if num_workers else 0, **options)
    except (UserError, WorkFailed) as error:
        name = f"{type(error).__module__}.{type(error).__qualname__}: "
        raise WorkFailed(str(error).strip().splitlines()[-1].removeprefix(name)) from None
    except RuntimeError as error:
        if not str(error).startswith("DataLoader "):
            raise
        raise WorkFailed(f"reading ahead failed: {' '.join(str(error).split())[:200]}") from None


def shared_memory() -> int:
    """Free bytes where processes share memory; as good as endless where there is no such place."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 2**62
