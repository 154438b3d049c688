"""How the command line ends when something is wrong: one line and an exit code, no traceback."""

from artv.errors import Interrupted, UserError, WorkFailed, describe_os_error

__all__ = ["Interrupted", "UserError", "WorkFailed", "describe_os_error"]
