"""How a command ends: whatever is wrong is one line on stderr and an exit code; Ctrl-C is never lost.

Light to import, so that Ctrl-C while everything else is being imported ends in that line too.
"""

import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import IO, NoReturn

from artv.errors import Interrupted, UserError, WorkFailed, describe_os_error

COLOURS = re.compile(r"(\x1b\[[0-9;]*m)")
_asked = threading.Event()  # whether Ctrl-C was pressed


@contextmanager
def one_line(program: str) -> Iterator[None]:
    """Ends the process when the block raises: 2 for a user's mistake, 1 for work that failed, 130 for Ctrl-C."""
    before = _listen()
    try:
        yield
    except UserError as error:
        _end(program, 2, error)
    except WorkFailed as error:
        _end(program, 1, error)
    except Interrupted as error:
        _end(program, 130, error)
    except KeyboardInterrupt:
        _end(program, 130, "interrupted; run the same command again to continue")
    except Exception as error:
        if _asked.is_set():  # some library made another error of it
            _end(program, 130, "interrupted; run the same command again to continue")
        _end_of_machine(program, error)
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def raise_if_asked() -> None:
    """Raises KeyboardInterrupt if Ctrl-C was pressed and its exception was lost, as it is in callbacks of libraries."""
    if _asked.is_set():
        raise KeyboardInterrupt


def printable(text: object, keep: str = "\n\t") -> str:
    """``text`` without what a terminal obeys: escapes are written out, all but ``keep``."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in str(text))


def echo(text: object = "", *, nl: bool = True, file: IO[str] | None = None) -> None:
    """Prints a result on stdout; of what a terminal obeys only line breaks, tabs and, on a terminal, colours.

    Raises:
        OSError: stdout is closed, or on a full disk.
    """
    out = sys.stdout if file is None else file
    parts = COLOURS.split(str(text)) if out.isatty() else [str(text)]
    out.write("".join(part if i % 2 else printable(part) for i, part in enumerate(parts)) + "\n" * nl)
    out.flush()


def _listen() -> Callable[..., None] | None:
    """Notes Ctrl-C from now on. Returns the handler of before; None where it is not Python's own, or not to be set."""
    before = signal.getsignal(signal.SIGINT)
    if before is not _note:
        _asked.clear()  # what an earlier command of this process was asked is not asked of this one
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        return None
    signal.signal(signal.SIGINT, _note)
    return before


def _note(number: int, frame: FrameType | None) -> NoReturn:
    _asked.set()
    raise KeyboardInterrupt


def _end_of_machine(program: str, error: Exception) -> None:
    """Ends where it is the machine's or a file's fault; anything else is ours and keeps its traceback."""
    if isinstance(error, OSError):
        _end(program, 1, describe_os_error(error))
    if isinstance(error, MemoryError):
        _end(
            program,
            1,
            f"out of memory ({error}); ask for fewer or smaller clips at once" if str(error) else "out of memory",
        )
    if isinstance(error, EOFError):
        _end(program, 1, "a file ended before its end: one that this command reads is damaged; what was made is kept")


def _end(program: str, code: int, message: object) -> NoReturn:
    print(f"{program}: {' '.join(printable(message).split())}", file=sys.stderr)
    sys.exit(code)
