"""Converted networks on disk, so that only the first process waits for the conversion.

    $XDG_CACHE_HOME/artv/openvino/<what it was made of>.blob       or ~/.cache/artv/openvino: digest, then the graph

They can all be made again: a damaged file counts as none, and a folder that cannot be written to costs time only.
"""

import hashlib
import os
import warnings
from contextlib import suppress
from pathlib import Path

from artv.files import open_regular, write_atomically

_MOST_BYTES = 2**30  # of all files; those used longest ago are given up
_DIGEST = hashlib.sha256().digest_size


def folder() -> Path:
    """Where they are."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "artv" / "openvino"


def read(name: str) -> bytes | None:
    """What :func:`write` kept; None if there is nothing, or not what was written."""
    try:
        file = folder() / f"{name}.blob"
        with open_regular(file) as opened:
            digest, data = opened.read(_DIGEST), opened.read()
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    if hashlib.sha256(data).digest() != digest:
        return None
    with suppress(OSError):
        os.utime(file)
    return data


def write(name: str, data: bytes) -> None:
    """Keeps it, whole or not at all. Where that fails a warning says so; what is larger than all may be is left out."""
    if len(data) > _MOST_BYTES:
        return
    try:
        place = folder()
        write_atomically(place / f"{name}.blob", hashlib.sha256(data).digest() + data)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        warnings.warn(
            f"the networks converted for OpenVINO cannot be kept ({reason}: {getattr(error, 'filename', None)}), "
            "so each start takes some seconds longer; XDG_CACHE_HOME names another folder",
            stacklevel=2,
        )
        return
    with suppress(OSError):  # another process may be clearing up too
        _clear(place)


def _clear(place: Path) -> None:
    """Removes files, longest unused first, until the others are within the limit."""
    total = 0
    for file in sorted(place.glob("*.blob"), key=lambda file: file.stat().st_mtime, reverse=True):
        total += file.stat().st_size
        if total > _MOST_BYTES:
            file.unlink(missing_ok=True)
