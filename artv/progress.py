"""Progress on stderr: a live bar on a terminal, a line now and then in a log file."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from artv.ending import printable, raise_if_asked


class _Lines:
    """For logs: at most a line every ten seconds."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total, self.last = name, total, 0.0

    def update(self, done: int, note: str = "") -> None:
        raise_if_asked()
        if time.monotonic() - self.last > 10 or done >= self.total:
            self.last = time.monotonic()
            print(f"{self.name}: {done}/{self.total} {printable(note)}", file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, progress, task) -> None:
        self.progress, self.task = progress, task

    def update(self, done: int, note: str = "") -> None:
        raise_if_asked()
        self.progress.update(self.task, completed=done, note=printable(note))


class _Silent:
    def update(self, done: int, note: str = "") -> None:
        pass


@contextmanager
def progress_bar(name: str, *, total: int, start: int = 0, shown: bool = True) -> Iterator[_Lines | _Bar | _Silent]:
    """Yields an object with ``update(done, note)``; shows elapsed and remaining time."""
    if not shown:
        yield _Silent()
    elif not sys.stderr.isatty():
        yield _Lines(name, total)
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            yield _Bar(progress, progress.add_task(name, total=total, completed=start, note=""))


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Silences diffusers' own bars and notes while weights are read; errors still raise."""
    from diffusers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()
