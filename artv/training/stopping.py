"""Ctrl-C and SIGTERM end a training after the step that is under way, so that it can save."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from artv.training import processes

_PATIENCE = 15  # seconds; a process that waits for one which is gone comes to no end of its step


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yields whether one of them has come. A second one does what it did before.

    Of several processes one may have ended, for which the others wait within their step: these end after 15 seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    asked = False

    def note(number: int, frame: object) -> None:
        nonlocal asked
        asked = True
        for each, handler in before.items():
            signal.signal(each, handler)
        if processes.world() > 1:
            signal.alarm(_PATIENCE)

    def answer() -> bool:
        if asked:
            signal.alarm(0)
        return asked

    for number in before:
        signal.signal(number, note)
    try:
        yield answer
    finally:
        if not asked:
            for number, handler in before.items():
                signal.signal(number, handler)
