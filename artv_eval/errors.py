"""How the command line ends when something is wrong: one line and an exit code, no traceback."""

import errno

from artv.errors import UserError, WorkFailed

__all__ = ["Interrupted", "UserError", "WorkFailed", "describe_os_error"]


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
