"""A plugin's error while a command works: one line that says whose it is and where, in place of a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artv.errors import Interrupted, UserError, WorkFailed, in_one_line

OURS = ("artv", "artv_eval")
OWNERS: dict[str, str] = {}
"""Package of a plugin's code → the plugin's key, for all that were loaded in this process."""


def note_owner(key: str, *modules: str) -> None:
    """Errors that come out of these modules, or of others in their packages, are the plugin's."""
    roots = {name.partition(".")[0] for name in modules} - {*OURS, *sys.stdlib_module_names, ""}
    OWNERS.update(dict.fromkeys(roots, key))


@contextmanager
def plugins_blamed() -> Iterator[None]:
    """An error that came out of a plugin's code is a WorkFailed; all others pass.

    Metrics, methods and trainings whose errors cost a row are caught before, where the row is made.
    """
    try:
        yield
    except (UserError, WorkFailed, Interrupted, OSError, MemoryError):
        raise
    except Exception as error:
        line = blamed(error)
        if line is None:
            raise
        raise WorkFailed(line) from error


def blamed(error: Exception) -> str | None:
    """The line about an error of a plugin, with the last place in its code; None where none of it was being run."""
    found, trace = None, error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        key = OWNERS.get(str(frame.f_globals.get("__name__")).partition(".")[0])
        if key is not None:
            code = frame.f_code
            place = f"{Path(code.co_filename).name}, line {trace.tb_lineno}"
            found = f"plugin {key} failed in {code.co_qualname}() ({place})"
        trace = trace.tb_next
    return None if found is None else f"{found}: {in_one_line(error)}"
