"""Ctrl-C and SIGTERM end a training after the step that is under way, so that it can save."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from artv.training import processes


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yields whether one of them has come. A second one does what it did before.

    Of several processes one may wait within its step for another that is gone, where it hears nothing, so there
    SIGTERM, by which a launcher ends the others, ends a process at once as ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    numbers = (signal.SIGINT, signal.SIGTERM) if processes.world() == 1 else (signal.SIGINT,)
    before = {number: signal.getsignal(number) for number in numbers}
    asked = False

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: object) -> None:
        nonlocal asked
        asked = True
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: asked
    finally:
        restore()
