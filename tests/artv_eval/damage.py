"""Faults put into the files of a folder, one at a time and taken back: what disks, copies and people do to them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def flipped(path: Path, rng: np.random.Generator, files: list[Path]) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 1, 8])):
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def cut(path: Path, rng: np.random.Generator, files: list[Path]) -> None:
    path.write_bytes(path.read_bytes()[: rng.integers(path.stat().st_size)])


def emptied(path: Path, rng: np.random.Generator, files: list[Path]) -> None:
    path.write_bytes(b"")


def swapped(path: Path, rng: np.random.Generator, files: list[Path]) -> None:
    """Holds what another file of its kind holds."""
    others = [file for file in files if file.suffix == path.suffix and file != path] or files
    path.write_bytes(rng.choice(others).read_bytes())


def retyped(path: Path, rng: np.random.Generator, files: list[Path]) -> None:
    """A folder, a pipe, a link to nothing, or JSON of another form."""
    path.unlink()
    kind = rng.integers(5)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to("nowhere")
    else:
        path.write_text(["[]", '{"rows": 3, "run": [], "schema": "x"}'][kind - 3])


FAULTS = (flipped, flipped, flipped, cut, emptied, swapped, retyped)


@contextmanager
def damaged(root: Path, rng: np.random.Generator, only: str = "*") -> Iterator[tuple[str, Path]]:
    """One fault in one file below ``root``. Gives which and where; the file is as before when the block ends."""
    files = sorted(path for path in root.rglob(only) if path.is_file() and path.stat().st_size)
    path, fault = rng.choice(files), rng.choice(FAULTS)
    whole = path.read_bytes()
    fault(path, rng, files)
    try:
        yield fault.__name__, path
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.write_bytes(whole)
