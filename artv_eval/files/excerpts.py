"""Clip excerpts: which frames of a video file, and how they are read, a few at a time where they are many.

Shape suffixes: T frames, H W pixels, C colour channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError
from artv.requests import MOST_FRAMES
from artv_eval.extras import ReaderExtras, optional
from artv_eval.files.spool import Spool
from artv_eval.results.clips import in_parts

STEP, STEP_BYTES = 16, 1 << 22  # frames of a long excerpt that are decoded at once, and most bytes in them


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Which frames of a video, and what is done to them.

    ``frames`` None: all that the file has, however long others are.
    ``fps`` None: the video's own rate; ``stride``: every k-th frame at that rate; ``which``: first, centre or random
    (drawn from the file's place in the list). ``transform``: fields of ``artv_eval.features.preprocess.Transform``.
    ``own_rates``: that files of different rates are each taken at their own is meant, not forgotten.
    """

    frames: int | None
    fps: float | None = None
    stride: int = 1
    which: str = "first"
    transform: tuple[tuple[str, Any], ...] = ()
    reader: str = "decord"
    own_rates: bool = False

    @property
    def long(self) -> bool:
        """Whether clips may be too many frames to be held."""
        return self.frames is None or in_parts(self.frames)

    def count(self, available: int) -> int:
        """Frames that are taken of a file with so many."""
        return -(-available // self.stride) if self.frames is None else self.frames

    def said(self, lengths: Sequence[int]) -> str:
        """Which part of files with so many frames: ``first 16 of 48 to 1000 frames at 8 fps``."""
        span = f"{min(lengths)}" if len(set(lengths)) == 1 else f"{min(lengths)} to {max(lengths)}"
        one_in = f", one in {self.stride}" if self.stride > 1 else ""
        part = "each whole:" if self.frames is None else f"{self.which} {self.frames} of"
        return f"{part} {span} frames{f' at {self.fps:g} fps' if self.fps else ''}{one_in}"


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A clip, uint8 (T, H, W, 3), with the rate of its file and what read it; or the reason why there is none.

    A long one is read from a temporary file, by slices (``spool.py``). ``length``: frames of the file at this rate.
    """

    path: Path
    frames: np.ndarray | None
    fps: float = 0.0
    reader: str = ""
    error: str | None = None
    length: int = 0

    @property
    def shown(self) -> np.ndarray:
        """The frames. Raises UserError with the reason if there are none."""
        if self.frames is None:
            raise UserError(self.error or f"video {self.path} has no frames")
        return self.frames


def read_excerpt(path: Path, excerpt: Excerpt, seed: int = 0) -> Decoded:
    """The excerpt's frames. Raises UserError that names the file and what is wrong."""
    found = Parts(path, excerpt, seed)
    if not in_parts(found.shape[0]):
        return replace(found.about, frames=next(iter(found)))
    spool = Spool(found.shape)
    for frames in found:
        spool.add(frames)
    return replace(found.about, frames=spool.frames())


class Parts:
    """An excerpt's frames in order, once, a few at a time where they are many.

    ``about``: what is known of the file. ``shape``: of all frames.

    Raises:
        UserError: now, or while it is gone through.
    """

    def __init__(self, path: Path, excerpt: Excerpt, seed: int) -> None:
        from artv.data.readers import frames_at, open_video

        self._path, self._excerpt = path, excerpt
        self._video = open_video(path, excerpt.reader)
        available = frames_at(self._video, excerpt.fps)
        count = excerpt.count(len(available))
        if count > MOST_FRAMES:
            raise UserError(f"video {path} has {count} frames; at most {MOST_FRAMES} of a clip are taken (--frames)")
        span = (count - 1) * excerpt.stride + 1
        spare = len(available) - span
        if spare < 0:
            at = f"{excerpt.fps:g} fps" if excerpt.fps else "its own rate"
            raise UserError(f"video {path} has {len(available)} frames at {at}; the protocol needs {span}")
        place = {"first": 0, "centre": spare // 2, "random": int(np.random.default_rng(seed).integers(spare + 1))}
        start = place[excerpt.which]
        self._indices = available[start : start + span : excerpt.stride]
        used = optional(self._video, ReaderExtras, "used") or excerpt.reader
        self.about = Decoded(path=path, frames=None, fps=self._video.fps, reader=used, length=len(available))
        whole = not in_parts(len(self._indices))
        self._read_already = [self._read(0, len(self._indices) if whole else 1)]
        self.shape = (len(self._indices), *self._read_already[0].shape[1:])

    def __iter__(self) -> Iterator[np.ndarray]:
        done = len(self._read_already[0])
        yield self._read_already.pop()  # and hold it no longer
        step = max(1, min(STEP, STEP_BYTES // int(np.prod(self.shape[1:]))))
        for start in range(done, len(self._indices), step):
            yield self._read(start, step)

    def _read(self, start: int, count: int) -> np.ndarray:
        from artv.data.readers import read_frames

        indices = self._indices[start : start + count]
        try:
            return _transformed(read_frames(self._path, self._video, indices), self._excerpt)
        except UserError as error:
            came = start + self._how_many(indices)
            raise UserError(f"{error}; {came} of the {len(self._indices)} frames asked for were read") from None

    def _how_many(self, indices: Sequence[int]) -> int:
        """Frames that come, one by one."""
        from artv.data.readers import read_frames

        for count, index in enumerate(indices):
            try:
                read_frames(self._path, self._video, [index])
            except UserError:
                return count
        return len(indices)


def _transformed(frames_THWC: np.ndarray, excerpt: Excerpt) -> np.ndarray:
    if not excerpt.transform:
        return frames_THWC
    from artv_eval.features.preprocess import Transform

    return Transform(**dict(excerpt.transform))(frames_THWC)
