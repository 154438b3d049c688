"""Reading video files, behind one interface, since no reader is good for all of them.

decord is the default, for the files that prove that it may jump to their frames (``frame_table.py``); PyAV reads the
others and those that decord cannot open, and takes its place where it has no wheel. Both are run with a time-out by
callers that read files they did not write (decord hangs on some broken ones).

Shape suffixes: T frames, H W pixels.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np

from artv.data.cut_off import is_cut_off
from artv.data.frame_table import FrameTable, count_left, frames_from, orientation, read_table
from artv.data.pixels import ToRgb
from artv.errors import UserError, counted
from artv.files import check_regular, whole
from artv.images import on_white
from artv.requests import check_name

VERSION = "3"
"""Changes whenever a file may give other frames than before: part of the key of what is kept about files."""

TOLERANCE = 1e-3
"""Seconds: some containers keep whole thousandths."""


class Reader(Protocol):
    """An open video file.

    A reader may also have ``times``, seconds (T,) at which the frames of a file without a constant rate are shown, and
    ``used``, the name of the reader that really reads.
    """

    fps: float

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """uint8 RGB (len(indices), H, W, 3)."""
        ...


class PyAvReader:
    """Reads everything that FFmpeg reads: from the last keyframe at which decoding may begin, or from the first.

    Frames that come after those asked for before are read on from there: a long file is decoded once, part by part.
    """

    used = "pyav"

    def __init__(self, path: str | Path) -> None:
        self._open(Path(path), read_table(Path(path)))

    @classmethod
    def of(cls, path: Path, table: FrameTable) -> "PyAvReader":
        """A reader of a file whose table is read already."""
        reader = cls.__new__(cls)
        reader._open(path, table)
        return reader

    def _open(self, path: Path, table: FrameTable) -> None:
        self._path, self._table, self._rgb = path, table, ToRgb()
        self.fps, self.times = table.rate, table.times
        self._running: Iterator[tuple[int, Any]] = iter(())
        self._newest: tuple[int, np.ndarray | None] = (table.length, None)  # the last frame that was read, decoded

    def __len__(self) -> int:
        return self._table.length

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        import av

        try:
            found = self._found(self._table, set(indices))
        except (LookupError, av.FFmpegError):
            if len(self._table.starts) == 1:
                raise
            found = self._found(replace(self._table, starts=(0,)), set(indices))
        return np.stack([found[i] for i in indices])

    def _found(self, table: FrameTable, wanted: set[int]) -> dict[int, np.ndarray]:
        number, picture = self._newest
        found = {number: picture} if number in wanted and picture is not None else {}
        if min(wanted - set(found), default=number) < number:
            self._running, found = frames_from(self._path, table, min(wanted)), {}
        self._newest = (table.length, None)  # until these are there: an error must not be read on from
        for i, frame in self._running if len(found) < len(wanted) else ():
            if i in wanted:
                turns, mirrored = orientation(frame)
                decoded = self._rgb(frame)
                found[i] = np.rot90(np.fliplr(decoded) if mirrored else decoded, -turns)
            if len(found) == len(wanted):
                break
        if missing := wanted - set(found):
            raise LookupError(f"frame {min(missing)} cannot be decoded; {len(found)} of {len(wanted)} could")
        self._newest = (max(found), found[max(found)])
        return found


class DecordReader:
    """decord says whether a file's frames are those that its packets prove (``used``); PyAV decodes all files.

    decord counts packets and trusts that a jump lands where it should: in files with open groups of pictures, edit
    lists or no times it gives other frames than those asked for (its last release is of 2021).
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        table = read_table(path)
        self._video = _decord(path, table) if table.doubt is None else None
        self._instead = PyAvReader.of(path, table)
        self.used = "decord" if self._video is not None else self._instead.used
        self.fps, self.times, self._length = table.rate, table.times, table.length

    def __len__(self) -> int:
        return self._length

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return self._instead.frames(indices)


class _Forked:
    """A process that was forked has none of the threads that decode: to free a reader of its parent may wait for ever.

    Loaders have none that is garbage when they fork, and decord, which has threads of its own, is not asked.
    ``here``: whether it was forked. ``open``: decord's readers of this process.
    """

    open: WeakSet[Any] = WeakSet()
    here = False

    @classmethod
    def begin(cls) -> None:
        """Leaves what is open to the parent."""
        cls.here = True
        for video in list(cls.open):
            video._handle = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Forked.begin)


def _decord(path: Path, table: FrameTable) -> Any | None:
    """decord's reader, where there is one and it sees the same frames at the same times; otherwise None."""
    if _Forked.here:
        return None
    try:
        import decord
    except ImportError:  # it has no wheel for every machine
        return None
    decord.logging.set_level(decord.logging.FATAL)
    try:
        video = decord.VideoReader(whole(path), num_threads=1)
        _Forked.open.add(video)
        if len(video) != table.length:
            return None
        seconds = video.get_frame_timestamp(list(range(table.length)))[:, 0]
    except (decord.DECORDError, RuntimeError):
        return None
    own = np.array(table.pts) * float(table.time_base)
    return video if np.abs((seconds - seconds[0]) - (own - own[0])).max() < TOLERANCE else None


class GifReader:
    """Moving pictures, by Pillow, over white where they are transparent: decord finds no length in them.

    A frame's time may be a multiple of the others', where equal frames were written as one; it then comes as often.
    """

    used = "pillow"

    def __init__(self, path: str | Path) -> None:
        from PIL import Image, ImageSequence

        with Image.open(path) as image:
            frames, times = [], []
            for frame in ImageSequence.Iterator(image):
                frames.append(np.asarray(on_white(frame)))
                times.append(frame.info.get("duration") or 100)  # ms; players take 100 for none
        unit: float = min(times)
        for _ in range(2):  # times are whole hundredths of a second, so the least one is no exact unit
            counts = [max(1, round(time / unit)) for time in times]
            unit = sum(times) / sum(counts)
        self.fps = 1000 / unit
        self._frames = [frame for frame, count in zip(frames, counts, strict=True) for _ in range(count)]

    def __len__(self) -> int:
        return len(self._frames)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return np.stack([self._frames[i] for i in indices])


READERS: dict[str, type] = {"decord": DecordReader, "pyav": PyAvReader}


def reader_of(path: Path, reader: str | Callable[[Path], Reader]) -> Callable[[Path], Reader]:
    """The reader of that name, of ``READERS`` or as ``module:Class``, or the one for gifs; a reader is itself.

    Raises :class:`UserError` for a name that there is not.
    """
    reader = next((name for name, kind in READERS.items() if kind is reader), reader)
    if not isinstance(reader, str):
        return reader
    module, _, name = reader.partition(":")
    if not name:
        check_name("reader", reader, READERS)
    if path.suffix.lower() == ".gif" and not name:
        return GifReader
    return READERS[reader] if not name else getattr(import_module(module), name)


def open_video(path: str | Path, reader: str | Callable[[Path], Reader] = "decord") -> Reader:
    """Opens a file. Raises :class:`UserError` naming the file when it is missing, empty or no video."""
    path = Path(path)
    kind = reader_of(path, reader)
    check_regular(path, "video")
    if path.stat().st_size == 0:
        raise UserError(f"video {path} is empty (0 bytes); delete it or make it again")
    if is_cut_off(path):
        raise UserError(f"video {path} is cut off: its end is missing{_left(path)}; copy or make it again")
    try:
        video = kind(path)
        if len(video) == 0:
            raise ValueError("no frames")
    except ModuleNotFoundError as error:
        raise UserError(
            f"reader {reader} needs the package {error.name}; install it or choose another reader"
        ) from None
    except Exception as error:
        raise UserError(f"video {path} cannot be read: {why(error)}") from None
    return video


def _left(path: Path) -> str:
    left = count_left(path) if path.suffix.lower() != ".gif" else 0
    return f" ({counted(left, 'frame')} of it can be read)" if left else ""


def why(error: Exception) -> str:
    """The first line of a reader's error, without the places in its source (``[12:00:00] /src/x.cc:83:``)."""
    text = getattr(error, "strerror", None) or str(error)
    line = (text.strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\[[\d:]+\] \S+: ", "", line)[:160]


def read_video(
    path: str | Path, reader: str = "decord", fps: float | None = None, limit: int | None = None
) -> np.ndarray:
    """All frames (or the first ``limit``), uint8 (T, H, W, 3); ``fps`` picks the nearest frames at that rate."""
    video = open_video(path, reader)
    return read_frames(path, video, frames_at(video, fps)[:limit])


def read_frames(path: str | Path, video: Reader, indices: Sequence[int]) -> np.ndarray:
    """uint8 (len(indices), H, W, 3). Raises :class:`UserError` naming the file when one cannot be decoded."""
    try:
        return video.frames(indices)
    except Exception as error:
        name = getattr(video, "used", type(video).__name__)
        raise UserError(f"video {path} breaks off while reading ({name}): {why(error)}") from None


def frames_at(video: Reader, fps: float | None) -> list[int]:
    """Indices of the frames that show a video at ``fps``: the nearest earlier one of each instant; None: all."""
    times = getattr(video, "times", None)
    if times is None or not fps:
        return resample_indices(len(video), video.fps, fps)
    end = 2 * times[-1] - times[-2]  # the last frame stays as long as the one before
    instants = np.arange(max(1, int(end * fps + 1e-6))) / fps
    return (np.searchsorted(times, instants + TOLERANCE, side="right") - 1).tolist()


def resample_indices(length: int, source_fps: float, fps: float | None) -> list[int]:
    """The same of a video of one rate, ``source_fps``."""
    if not fps or not source_fps or abs(fps - source_fps) < 1e-6:
        return list(range(length))
    count = max(1, int(length * fps / source_fps + 1e-6))
    return [min(int(i * source_fps / fps + 1e-6), length - 1) for i in range(count)]
