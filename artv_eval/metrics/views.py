"""Clips a few frames at a time, so that no metric of frames holds a long one.

    rows = by_frame(clips, lambda view: measure(view.frames_BTCHW))       # (n, T, …)

Short clips are looked at several at a time and whole, long ones a few frames at a time; frames are read when they are
asked for.

Shape suffixes: n clips, B clips at a time, T frames of a clip, t frames at a time, H W pixels, C colour channels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from torch import Tensor

from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.metrics.base import BATCH, to_BTCHW

AT_ONCE, VALUES = 64, 1 << 22  # frames of a clip at once, and values in them: less of large pictures
GPU_VALUES = 1 << 24  # where a GPU does the work, which a few large pictures leave waiting
PICTURES = 256  # frames at once of several clips: as many as of 16 clips of 16 frames
GPU_PICTURES = 512  # there a few pictures through a small network are gone before the next are on their way


def values_on(device: object) -> int:
    """Values in the frames that are looked at together, where such a device does the work."""
    return GPU_VALUES if str(device).startswith("cuda") else VALUES


def pictures_on(device: object) -> int:
    """Frames of several clips that are looked at together there."""
    return GPU_PICTURES if str(device).startswith("cuda") else PICTURES


@dataclass(frozen=True, kw_only=True)
class View:
    """Some frames of a clip: uint8 (t, H, W, C), the first of which is frame ``start``, with what was there before.

    ``opening``: frame 0 of the clip, (H, W, C); ``before``: the frame before ``start``, or None at the beginning.
    """

    frames: np.ndarray
    start: int
    opening: np.ndarray
    before: np.ndarray | None

    @property
    def with_before(self) -> np.ndarray:
        """(t + 1, H, W, C): the frame before, and the frames; frame 0 stands for the one before it."""
        before = self.opening if self.before is None else self.before
        return np.concatenate([before[None], self.frames])


def frames_at_once(shape: tuple[int, ...], values: int | None = None) -> int:
    """How many frames of a clip (T, H, W, C) are looked at together; ``values``: in them, at most."""
    return max(1, min(AT_ONCE, (values or VALUES) // int(np.prod(shape[1:]))))


def views(frames_THWC: np.ndarray, values: int | None = None) -> Iterator[View]:
    """A few frames of a clip at a time, read when they are asked for; ``frames``: anything with slices and a shape.

    Raises:
        UserError: pictures of other numbers than bytes, of which sums of bytes would make nonsense.
    """
    size = frames_at_once(frames_THWC.shape, values)
    opening, before = np.asarray(frames_THWC[0]), None
    check_bytes(opening)
    for start in range(0, len(frames_THWC), size):
        some = np.asarray(frames_THWC[start : start + size])
        yield View(frames=some, start=start, opening=opening, before=before)
        before = some[-1].copy()  # the others may go


def check_bytes(frames: np.ndarray) -> np.ndarray:
    """The same frames. Raises UserError when they are other numbers than bytes."""
    if frames.dtype != np.uint8:
        raise UserError(f"frames are {frames.dtype}; metrics take uint8, 0 to 255: convert them")
    return frames


@dataclass(frozen=True, kw_only=True)
class Together:
    """The same frames of a few clips of ``length`` frames, and what was asked for; uint8 (B, t, C, H, W)."""

    requests: list[ClipRequest]
    views: list[View]
    length: int

    @property
    def start(self) -> int:
        """Number of the first frame."""
        return self.views[0].start

    @property
    def frames_BTCHW(self) -> Tensor:
        """(B, t, C, H, W)."""
        return to_BTCHW([view.frames for view in self.views])

    @property
    def opening_BTCHW(self) -> Tensor:
        """(B, 1, C, H, W): frame 0."""
        return to_BTCHW([view.opening[None] for view in self.views])

    @property
    def pairs_BTCHW(self) -> Tensor:
        """The frames after the one before them; of the beginning the frames alone: so every pair comes once."""
        return self.frames_BTCHW if self.start == 0 else to_BTCHW([view.with_before for view in self.views])


def batches(
    clips: ClipSet, most: int = BATCH, device: object = "cpu"
) -> Iterator[list[tuple[ClipRequest, GeneratedClip]]]:
    """Clips to look at together on a device: so many that their frames at a time stay few, at most ``most``."""
    iterator, values, pictures = iter(clips), values_on(device), pictures_on(device)
    for first in iterator:
        shape = first[1].frames.shape
        size = min(frames_at_once(shape, values), shape[0])
        count = min(most, pictures // size, values // (size * int(np.prod(shape[1:]))))
        yield [first, *islice(iterator, max(count, 1) - 1)]


def together(batch: list[tuple[ClipRequest, GeneratedClip]], values: int | None = None) -> Iterator[Together]:
    """The clips of a batch side by side. Raises UserError when they differ in size."""
    shapes = [clip.frames.shape for _, clip in batch]
    if (odd := next((shape for shape in shapes if shape != shapes[0]), None)) is not None:
        raise UserError(f"clips of one set differ in size: {shapes[0]} and {odd} (frames, height, width, 3)")
    requests = [request for request, _ in batch]
    for each in zip(*(views(clip.frames, values) for _, clip in batch), strict=True):
        yield Together(requests=requests, views=list(each), length=shapes[0][0])


def by_frame(
    clips: ClipSet, measure: Callable[[Together], Tensor], most: int = BATCH, device: object = "cpu"
) -> np.ndarray:
    """What ``measure`` gives for some frames, (B, t, …), for all frames of all clips: (n, T, …).

    Args:
        most: clips at a time.
        device: where they are measured.

    Raises:
        UserError: there are no clips, or they differ in size.
    """
    rows = [along_the_clips(batch, measure, values_on(device)) for batch in batches(clips, most, device)]
    if not rows:
        raise UserError("no clips to score")
    if len({len(row[0]) for row in rows}) > 1:
        raise UserError("clips of one set differ in their number of frames")
    return np.concatenate(rows)


def along_the_clips(
    batch: list[tuple[ClipRequest, GeneratedClip]], measure: Callable[[Together], Tensor], values: int | None = None
) -> np.ndarray:
    """(B, T, …), one array from the start: small ones kept between large ones that come and go would scatter memory."""
    rows, done = np.empty(0), 0
    for view in together(batch, values):
        some = measure(view).cpu().numpy()
        if view.start == 0:
            rows = np.empty((len(batch), view.length, *some.shape[2:]), some.dtype)
        rows[:, done : done + some.shape[1]] = some
        done += some.shape[1]
    return rows[:, :done]
