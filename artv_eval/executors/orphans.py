"""Processes that end with the one that started them: whoever is killed outright cannot stop what it started."""

import os
import threading
import time


def end_with(parent: int) -> None:
    """Ends this process soon after it has lost ``parent``, the id of the process that started it."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
