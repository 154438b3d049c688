"""Reading video files, behind one interface, since no reader is good for all of them.

decord is the default; PyAV takes its place where decord has no wheel. Both are run with a time-out by callers that read
files they did not write (decord hangs on some broken ones).

Shape suffixes: T frames, H W pixels.
"""

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from artv.errors import UserError
from artv.requests import check_name


class Reader(Protocol):
    """An open video file."""

    fps: float

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """uint8 RGB (len(indices), H, W, 3)."""
        ...


class DecordReader:
    """Seeks to the frames that are asked for; fast when they are few."""

    def __init__(self, path: str | Path) -> None:
        import decord

        decord.logging.set_level(decord.logging.FATAL)
        self._video = decord.VideoReader(str(path), num_threads=1)
        self.fps = float(self._video.get_avg_fps())

    def __len__(self) -> int:
        return len(self._video)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return self._video.get_batch(list(indices)).asnumpy()


class PyAvReader:
    """Decodes from the start to the last frame that is asked for; reads everything ffmpeg reads."""

    def __init__(self, path: str | Path) -> None:
        import av

        self._path = str(path)
        with av.open(self._path) as container:
            if not container.streams.video:
                raise ValueError("no video stream")
            stream = container.streams.video[0]
            self.fps = float(stream.average_rate or 0)
            self._length = stream.frames or sum(1 for _ in container.decode(video=0))

    def __len__(self) -> int:
        return self._length

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        import av

        wanted, found = set(indices), {}
        with av.open(self._path) as container:
            for i, frame in enumerate(container.decode(video=0)):
                if i in wanted:
                    found[i] = frame.to_ndarray(format="rgb24")
                if i >= max(wanted):
                    break
        missing = sorted(wanted - set(found))
        if missing:
            raise ValueError(f"frame {missing[0]} cannot be decoded; {len(found)} of {len(wanted)} could")
        return np.stack([found[i] for i in indices])


class GifReader:
    """Moving pictures, by Pillow: decord finds no length in them.

    A frame's time may be a multiple of the others', where equal frames were written as one; it then comes as often.
    """

    def __init__(self, path: str | Path) -> None:
        from PIL import Image, ImageSequence

        with Image.open(path) as image:
            frames, times = [], []
            for frame in ImageSequence.Iterator(image):
                frames.append(np.asarray(frame.convert("RGB")))
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


def reader_of(path: Path, reader: str) -> type:
    """The reader of that name, or the one for gifs. Raises :class:`UserError` for a name that there is not."""
    check_name("reader", reader, READERS)
    return GifReader if path.suffix.lower() == ".gif" else READERS[reader]


def open_video(path: str | Path, reader: str = "decord") -> Reader:
    """Opens a file. Raises :class:`UserError` naming the file when it is missing, empty or no video."""
    path = Path(path)
    kind = reader_of(path, reader)
    if path.is_dir():
        raise UserError(f"video {path} is a folder; give a video file")
    if not path.is_file():
        raise UserError(f"video {path} {'is a folder' if path.is_dir() else 'does not exist'}")
    if path.stat().st_size == 0:
        raise UserError(f"video {path} is empty (0 bytes); delete it or make it again")
    if is_cut_off(path):
        raise UserError(f"video {path} is cut off: its end is missing; copy or make it again")
    try:
        video = kind(path)
        if len(video) == 0:
            raise ValueError("no frames")
    except ModuleNotFoundError as error:
        raise UserError(
            f"reader {reader} needs the package {error.name}; install it or choose another reader"
        ) from None
    except Exception as error:
        name = "Pillow" if kind is GifReader else reader
        raise UserError(f"video {path} cannot be read by {name}: {why(error)}") from None
    return video


def why(error: Exception) -> str:
    """The first line of a reader's error, without the places in its source (``[12:00:00] /src/x.cc:83:``)."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\[[\d:]+\] \S+: ", "", line)[:160]


def is_cut_off(path: Path) -> bool:
    """Whether an MP4 or QuickTime file ends before its index or its data do (boxes of ISO/IEC 14496-12, 4.2).

    Readers go on with the frames that are left, of which the centre, for one, is somewhere else.
    """
    end, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place + 16 <= end:
            file.seek(place)
            size, kind, large = struct.unpack(">I4sQ", file.read(16))
            if place == 0 and kind != b"ftyp":
                return False
            size = large if size == 1 else size
            if size < 8:  # 0: up to the end
                return False
            place += size
            if place > end and kind in (b"mdat", b"moov", b"moof"):
                return True
    return False


def read_video(
    path: str | Path, reader: str = "decord", fps: float | None = None, limit: int | None = None
) -> np.ndarray:
    """All frames (or the first ``limit``), uint8 (T, H, W, 3); ``fps`` picks the nearest frames at that rate."""
    video = open_video(path, reader)
    indices = resample_indices(len(video), video.fps, fps)[:limit]
    try:
        return video.frames(indices)
    except Exception as error:
        raise UserError(f"video {path} breaks off while reading ({reader}): {why(error)}") from None


def resample_indices(length: int, source_fps: float, fps: float | None) -> list[int]:
    """Frame indices that show a video of ``source_fps`` at ``fps``: the nearest earlier frame of each instant."""
    if not fps or not source_fps or abs(fps - source_fps) < 1e-6:
        return list(range(length))
    count = max(1, int(length * fps / source_fps + 1e-6))
    return [min(int(i * source_fps / fps + 1e-6), length - 1) for i in range(count)]
