"""Errors that a user can act on."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake in what was asked for. One line: what was given, what is allowed, what to do. The CLI exits with 2."""


class WorkFailed(RuntimeError):
    """Something failed while work was under way. One line, with what was kept. The CLI exits with 1."""


class Interrupted(Exception):
    """The user stopped a command. Says what is kept and how to go on. The CLI exits with 130."""


def describe_os_error(error: OSError) -> str:
    """What happened to which file, and what to do, in one line."""
    what = error.strerror or str(error)
    where = f": {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"disk full{where}; what was finished is kept: free some space and run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"not writable{where} ({what}); choose another folder or change its permissions"
    return f"{what}{where}"


def in_one_line(error: BaseException) -> str:
    """An error that nobody foresaw: its type, and its text without line breaks."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def counted(number: int, noun: str) -> str:
    """``1 clip``, ``2 clips``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def closest(name: str, options: Iterable[str]) -> str:
    """Ends an error about an unknown name: the closest of the allowed ones, all of them, or that there are none."""
    known = sorted(options)
    if not known:
        return "there are none"
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}? (all: {', '.join(known)})"
    return f"it must be one of {', '.join(known)}"
