"""Ctrl-C and SIGTERM end a training after the step that is under way, so that it can save."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from artv.training import processes

PATIENCE = 15.0
"""Seconds for a step of several processes to end; launchers kill after 30."""


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yields whether one of them has come. A second one does what it did before.

    Of several processes one may wait within its step for another that is gone, where it hears nothing: one that does
    not ask within ``PATIENCE`` seconds of a SIGTERM, by which a launcher ends the others, ends at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    came, heard = threading.Event(), threading.Event()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: object) -> None:
        came.set()
        restore()

    def asked() -> bool:
        if came.is_set():
            heard.set()
        return came.is_set()

    for number in before:
        signal.signal(number, note)
    try:
        with _ended_unless(heard) if processes.world() > 1 else nullcontext():
            yield asked
    finally:
        restore()


@contextmanager
def _ended_unless(heard: threading.Event) -> Iterator[None]:
    """Python's handlers wait for the call that is under way; through this pipe a signal's number comes at once."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def listen() -> None:
        while number := os.read(reader, 1):
            if number[0] == signal.SIGTERM and not heard.wait(PATIENCE):
                print("artv: another process of this training has ended; this one waited for it", file=sys.stderr)
                os._exit(1)
        os.close(reader)

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield
    finally:
        heard.set()
        signal.set_wakeup_fd(before)
        os.close(writer)
