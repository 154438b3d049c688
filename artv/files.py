"""Files that are whole or not there."""

import os
import stat
import tempfile
from pathlib import Path

from artv.errors import UserError


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a temporary file beside ``path`` and renames it. On an error, of ``path``, nothing is left behind."""
    try:
        _write_beside(path, data)
    except OSError as error:
        if Path(str(error.filename)).name.startswith(f".{path.name}."):  # whoever reads it knows no temporary file
            error.filename, error.filename2 = str(path), None
        raise


def write_text_atomically(path: Path, text: str) -> None:
    """The same for text, in UTF-8; what UTF-8 cannot hold, such as bytes of file names, becomes ``?``."""
    write_atomically(path, text.encode("utf-8", "replace"))


def _write_beside(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # noqa: PTH101 mkstemp makes it private
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_regular(path: Path, what: str) -> None:
    """A file that has an end, itself or behind links: whoever reads a FIFO or a device may wait for ever.

    Raises:
        UserError: ``what`` it should be does not exist or is something else.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        raise UserError(f"{what} {path} does not exist") from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{what} {path} is a folder; give a file")
    if not stat.S_ISREG(mode):
        raise UserError(f"{what} {path} is a pipe or a device; give a file")
