"""Frames of long clips between reading and describing: raw in a temporary file, read from there by slices.

The file has no name: it is gone with whoever holds it, however that ends. A clip of 1,000 frames at 832 × 480 takes
1.2 GB in ``$TMPDIR`` while it is described, and no memory.

Shape suffixes: T frames, t some of them, H W pixels.
"""

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from artv.errors import UserError, describe_os_error
from artv_eval.results.clips import StoredArray, in_parts, part_length


class SpoolFull(UserError):
    """A temporary file cannot be written: no fault of the video."""


class Spool:
    """Takes frames in order and gives them back: an array where they are few, a :class:`StoredArray` otherwise.

    Args:
        shape: of all frames, (T, H, W, 3).
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape, self._done = tuple(shape), 0
        self._array = None if in_parts(shape[0]) else np.empty(self.shape, np.uint8)
        self._file = tempfile.TemporaryFile() if self._array is None else None  # noqa: SIM115 it lives as long as its frames
        self._room = np.empty((0, *self.shape[1:]), np.uint8)

    def room(self, count: int) -> np.ndarray:
        """(t, H, W, 3) to be filled with the next frames, and then said to be :meth:`filled`; until then, and once."""
        if self._array is not None:
            return self._array[self._done : self._done + count]
        if len(self._room) < count:
            self._room = np.empty((count, *self.shape[1:]), np.uint8)
        return self._room[:count]

    def filled(self, room_tHWC: np.ndarray) -> None:
        """The next frames are there. Raises SpoolFull when the temporary file cannot take them."""
        if self._file is not None:
            try:
                self._file.write(room_tHWC.data)
                self._file.flush()
            except OSError as error:
                where = f"decoded frames of long clips lie in {tempfile.gettempdir()} for a while"
                what = f"{describe_os_error(error)}, or set TMPDIR to a folder with more room"
                raise SpoolFull(f"{where}: {what}") from None
        self._done += len(room_tHWC)

    def add(self, frames_tHWC: np.ndarray) -> None:
        """The next frames."""
        room = self.room(len(frames_tHWC))
        room[:] = frames_tHWC
        self.filled(room)

    def frames(self) -> Any:
        """All of them."""
        if self._file is None:
            return self._array
        self._file.flush()
        self._room = self._room[:0].copy()
        file, frame, each = self._file, int(np.prod(self.shape[1:])), part_length(self.shape)

        def read(number: int, wanted: tuple[int, ...]) -> np.ndarray:
            part = np.empty(wanted, np.uint8)
            if os.preadv(file.fileno(), [part.data.cast("B")], number * each * frame) != part.nbytes:
                raise OSError("a temporary file holds less than was written to it")
            return part

        return StoredArray(read, range(0, self.shape[0], each), self.shape, np.uint8)


def spooled(frames_THWC: Any) -> Any:
    """A long clip, read once and lying raw from then on; the same frames where the temporary file cannot take them."""
    spool, each = Spool(frames_THWC.shape), part_length(frames_THWC.shape)
    try:
        for start in range(0, len(frames_THWC), each):
            spool.add(frames_THWC[start : start + each])
    except SpoolFull:
        return frames_THWC
    return spool.frames()
