"""Arrays on disk (npz) that say what they are of and are read whole, so that no damage passes for a value.

Every byte of an array is under its CRC in the zip, which ``np.load`` checks only if it reads to the end: there, a bit
flipped in a header gives other numbers. ``of`` tells a whole file in a wrong place; files of older versions have none.
"""

import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np

from artv.errors import in_one_line
from artv.files import open_regular, write_atomically

OF = "of"
SMALL = 1 << 20  # bytes of a file that is read at once, as short clips are
PIECE = 1 << 18  # bytes that are unpacked, checked and put in their place while they are in the cache
FIRST = b"\x93NUMPY\1\0"  # of the header that numpy writes: two bytes with its length follow


class Damaged(Exception):
    """A file does not hold what was written to it. Says why, in one line."""


def cleared(path: Path) -> Path:
    """``path`` for a file to be written, after a folder that stands there was set aside."""
    if path.is_dir():
        path.replace(path.with_suffix(".damaged"))
    return path


def write_arrays(path: Path, of: str, arrays: Mapping[str, np.ndarray], *, compress: bool = False) -> None:
    """Keeps arrays exactly. ``of``: what they are of, such as a cell and an index."""
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, **{OF: np.array(of)}, **arrays)  # type: ignore[arg-type]
    write_atomically(cleared(path), buffer.getvalue())


def read_arrays(path: Path, of: str) -> dict[str, np.ndarray]:
    """Inverse of :func:`write_arrays`.

    Raises:
        FileNotFoundError: there is none. Damaged: it is another one, or not what was written.
    """
    with opened(path) as archive:
        return checked_of({name.removesuffix(".npy"): read_array(archive, name) for name in archive.namelist()}, of)


def checked_of(arrays: dict[str, np.ndarray], of: str) -> dict[str, np.ndarray]:
    """The arrays without what says what they are of. Raises Damaged when that is something else."""
    found = arrays.pop(OF, None)
    if found is not None and str(found) != of:
        raise Damaged(f"it holds {str(found)[:80]!r}")
    return arrays


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An npz file of ours to read from.

    Raises:
        FileNotFoundError: there is none. Damaged: whatever else goes wrong until the block ends.
    """
    try:
        with open_regular(path) as file:
            small = os.fstat(file.fileno()).st_size <= SMALL
            held = io.BytesIO(file.read(SMALL)) if small else file
            held.seek(-12, os.SEEK_END)
            end = held.read()
            with zipfile.ZipFile(held) as archive:
                # a longer entry of the directory hides the next one
                if len(archive.namelist()) != int.from_bytes(end[:2], "little"):
                    raise ValueError("arrays are missing")
                yield archive
    except (FileNotFoundError, Damaged):
        raise
    # a flipped bit may ask for any decompressor, password, encoding or amount of memory
    except Exception as error:
        raise Damaged(in_one_line(error)) from None


def read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """A member, read to its end: there its CRC is compared. Nothing but the array is held as a whole."""
    with archive.open(name) as member:
        array = _array(member)
        if member.read(1):
            raise Damaged(f"{name} goes on after its array")
    return array


def _array(member: IO[bytes]) -> np.ndarray:
    """The array, as numpy's reader gives it in twice the time: it reads each header anew, and copies all once more."""
    start = member.read(len(FIRST) + 2)
    head = start + member.read(int.from_bytes(start[len(FIRST) :], "little") if start.startswith(FIRST) else 0)
    plain = _plain(head)
    if plain is None:
        member.seek(0)
        return np.lib.format.read_array(member, allow_pickle=False)
    array = np.empty(*plain)
    left = array.reshape(-1).view(np.uint8).data
    while left:
        if not (read := member.readinto(left[:PIECE])):  # type: ignore[attr-defined]
            raise ValueError(f"EOF: {len(left)} of {array.nbytes} bytes of the array are missing")
        left = left[read:]
    return array


@lru_cache(maxsize=256)
def _plain(head: bytes) -> tuple[tuple[int, ...], np.dtype] | None:
    """Shape and type of an array that lies as it is in memory, by its header; None of another, or no such header."""
    if not head.startswith(FIRST):
        return None
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(head[len(FIRST) :]))
    return None if fortran or dtype.hasobject or not dtype.itemsize else (shape, dtype)


def checksums(path: Path, *, leaving_out: tuple[str, ...] = ()) -> str | None:
    """CRC and size of each array as the directory at the file's end has them; None if there is no whole file.

    Reads no array: that a file is cut off is seen, and what is in it is not.
    """
    try:
        if not path.is_file():
            return None
        with zipfile.ZipFile(path) as archive:
            items = [item for item in archive.infolist() if item.filename.removesuffix(".npy") not in leaving_out]
    except Exception:  # as above
        return None
    return ",".join(f"{item.filename}:{item.CRC:08x}:{item.file_size}" for item in items)
