"""Files that are whole or not there, and reading that never waits.

A file is written beside its place under a name of its own, which its writer holds locked, and renamed when it is whole.
What a killed process leaves of one is locked by nobody: so it is told from what another process is writing.
"""

import errno
import fcntl
import io
import json
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from artv.errors import UserError

PREFIX, SUFFIX = ".artv-", ".part"
END = 16 << 10  # bytes
YOUNG = 1.0  # seconds in which a file may be there and not yet locked


def write_atomically(path: Path, data: bytes) -> None:
    """``path`` holds ``data`` or what it held before. On an error, of ``path``, nothing is left behind."""
    with writing(path) as part:
        part.write_bytes(data)


def write_text_atomically(path: Path, text: str) -> None:
    """The same for text, in UTF-8; what UTF-8 cannot hold, such as bytes of file names, becomes ``?``."""
    write_atomically(path, text.encode("utf-8", "replace"))


def write_once(path: Path, data: bytes) -> None:
    """``path`` holds ``data``, or what another process wrote first; whole either way."""
    if path.exists():
        return
    mine = path.with_name(f"{path.name}-{uuid.uuid4().hex}")
    write_atomically(mine, data)
    try:
        with suppress(FileExistsError):
            os.link(mine, path)
    except OSError:  # a file system without links
        mine.replace(path)
    finally:
        mine.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """An empty file beside ``path``, to write to, that takes its place at the end; the umask says who may read it.

    Raises:
        OSError: of ``path``, for whoever reads of it knows no other file.
    """
    part = path.with_name(f"{PREFIX}{uuid.uuid4().hex}{SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file:
            _locked(fcntl.flock, file.fileno())
            yield part
            with part.open("rb+") as written:  # a library may have put another file there
                os.fsync(written.fileno())
            part.replace(path)
    except OSError as error:
        if error.filename in (str(part), None):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes what killed writers left in ``folder`` and below; what a living one is writing stays."""
    for part in _leftovers(folder):
        with suppress(OSError), part.open("rb") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime > YOUNG and _locked(fcntl.flock, file.fileno()):
                part.unlink()


def _leftovers(folder: str | Path) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:  # there may be a million
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX):
                yield Path(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                yield from _leftovers(entry.path)


def writable_folder(folder: Path, option: str) -> None:
    """Makes a folder, unless it is there, and tries whether it can be written to.

    Raises:
        UserError: it is a file, or cannot be; ``option`` is what it was given with.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / ".writable", b"")
        (folder / ".writable").unlink(missing_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{option} is {str(folder)!r}, which is a file; give a folder") from None
    except PermissionError as error:
        raise UserError(
            f"{option} is {str(folder)!r}, which cannot be written to ({error.strerror}); give another folder"
        ) from None
    except OSError as error:
        raise UserError(f"{option} is {str(folder)!r}: {error.strerror}; give another folder") from None


@contextmanager
def claim(path: Path, numbers: Iterable[int]) -> Iterator[list[int]]:
    """Those of ``numbers`` that no other process has claimed in ``path``; nobody else gets them until the block ends.

    However the process ends, its claims end with it. Where the file system has no locks everybody gets all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:  # a lock of one byte for each number, beyond the end of an empty file
        yield [number for number in numbers if _locked(fcntl.lockf, file.fileno(), 1, number)]


def read_bytes(path: Path) -> bytes:
    """All of a file. Raises OSError, of a folder too, and of a pipe or a device, which might never end."""
    with open_regular(path) as file:
        return file.read()


def ends_of(path: Path, start: int = 0, size: int | None = None) -> bytes:
    """SHA-256 of the first and the last 16 KiB of a file, of a small one the whole: another video differs there, be it
    as large as this one. Raises OSError as :func:`read_bytes`.

    Args:
        start, size: the bytes within the file that count as one; None: up to its end.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size - start if size is None else size
        file.seek(start)
        sha = sha256(file.read(min(size, END)))
        file.seek(start + max(size - END, min(size, END)))
        sha.update(file.read(min(END, max(size - END, 0))))
    return sha.digest()


def read_text(path: Path, encoding: str = "utf-8", errors: str = "strict") -> str:
    """All of a text file, with line breaks as "\\n". Raises OSError as :func:`read_bytes`, and UnicodeDecodeError."""
    with io.TextIOWrapper(open_regular(path), encoding, errors) as file:
        return file.read()


def regular(path: str | Path) -> Path:
    """The path, for a library that opens it itself. Raises OSError as :func:`read_bytes`."""
    open_regular(Path(path)).close()
    return Path(path)


def open_regular(path: Path) -> io.BufferedReader:
    """A file to read from. Raises OSError as :func:`read_bytes`."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(handle, "rb", closefd=True)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return file


def whole(path: Path) -> str:
    """A file's name for FFmpeg and decord, who take what stands before a colon for a protocol (``run:1.mp4``): whole.

    What begins with the root is none.
    """
    return os.path.abspath(path)  # noqa: PTH100 a link stays one


def check_regular(path: str | Path, what: str) -> None:
    """A file that has an end, itself or behind links: whoever reads a FIFO or a device may wait for ever.

    Raises:
        UserError: ``what`` it should be does not exist or is something else.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        raise UserError(f"{what} {path} does not exist") from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{what} {path} is a folder; give a file")
    if not stat.S_ISREG(mode):
        raise UserError(f"{what} {path} is a pipe or a device; give a file")


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object that others wrote, such as a ``config.json``. Raises UserError, of the file, for anything else."""
    try:
        values = json.loads(read_bytes(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON ({' '.join(str(error).split())[:160]})") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} holds a {type(values).__name__}; it must be an object: fields and values")
    return values


def _locked(lock: Callable[..., None], handle: int, *where: int) -> bool:
    """Locks an open file until it is closed. False: somebody else has."""
    try:
        lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, *where)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True
