"""Memory that was freed goes back to the system between long clips.

What describing one clip frees lies in pieces between what is still in use; glibc keeps it for later, a heap a thread.
Over many clips that grows by chance: see ``benchmarks/results/memory_long.md``.
"""

import ctypes
import sys
from contextlib import suppress


def give_back() -> None:
    """Returns what is freed but kept, in milliseconds; where the C library cannot, nothing happens."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # of another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)
