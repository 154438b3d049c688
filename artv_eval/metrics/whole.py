"""Clips for metrics that look at a clip as a whole: several at a time, and a long one by what is seen of each frame.

    for requests, clips in whole_for(extractor, clip_set, transform):
        extractor(clips)

An extractor with ``seen`` shrinks frames as they are read (I3D's to 224 × 224, say), so that of a long clip only those
are held; one that is ``in_parts`` (a network of convolutions) gets a few at a time, and none is held. For one without
``seen``, frames are held after the transform: at their own size if there is none.

Shape suffixes: B clips, T frames of a clip, t frames at a time, C colour channels, H W pixels.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.extras import ExtractorExtras, optional
from artv_eval.features.running import Parts, part_on
from artv_eval.memory import give_back
from artv_eval.metrics.base import BATCH, Preprocess, frames_of, to_BTCHW
from artv_eval.metrics.views import values_on, views
from artv_eval.results.clips import in_parts

HELD = 1 << 28  # bytes of frames, as they are stored, that are looked at together


def whole_for(
    extractor: Any, clips: ClipSet, transform: Preprocess | None = None
) -> Iterator[tuple[list[ClipRequest], Any]]:
    """Requests and clips as ``extractor`` takes them: uint8 (B, T, 3, H, W), what it sees of them, or Parts of that.

    Raises:
        UserError: there are no clips, or they differ in size.
    """
    size = None
    for batch in _batches(clips):
        long = len(batch) == 1 and _is_long(batch[0][1].frames)
        taken = _long(extractor, batch[0][1].frames, transform) if long else frames_of(batch, transform)
        size = size or taken.shape[1:]
        if taken.shape[1:] != size:
            raise UserError(f"clips of one set differ in size: {tuple(size)} and {tuple(taken.shape[1:])} (frames, …)")
        yield [request for request, _ in batch], taken
    if size is None:
        raise UserError("no clips to score")


def _batches(clips: ClipSet) -> Iterator[list[tuple[ClipRequest, GeneratedClip]]]:
    iterator = iter(clips)
    for first in iterator:
        frames = first[1].frames
        count = 1 if _is_long(frames) else min(BATCH, HELD // _bytes(frames))
        yield [first, *islice(iterator, count - 1)]


def _is_long(frames: np.ndarray) -> bool:
    return in_parts(len(frames)) or _bytes(frames) > HELD


def _bytes(frames: np.ndarray) -> int:
    return int(np.prod(frames.shape))


def _long(extractor: Any, frames_THWC: np.ndarray, transform: Preprocess | None) -> Tensor | Parts:
    """One clip, read a few frames at a time: when it is used, if the extractor takes parts."""
    T = len(frames_THWC)
    if optional(extractor, ExtractorExtras, "in_parts"):
        together = part_on(optional(extractor, ExtractorExtras, "device"))
        return Parts(T, _seen(extractor, frames_THWC, transform, together))
    (clip,) = _seen(extractor, frames_THWC, transform, T)
    return clip


def _seen(extractor: Any, frames_THWC: np.ndarray, transform: Preprocess | None, together: int) -> Iterator[Tensor]:
    """(1, t, …): what is seen of the frames, so many ``together``."""
    see, part, done, left = optional(extractor, ExtractorExtras, "seen"), torch.empty(0), 0, len(frames_THWC)
    for view in views(frames_THWC, values_on(optional(extractor, ExtractorExtras, "device"))):
        frames = to_BTCHW([transform(view.frames) if transform else view.frames])
        some = see(frames)
        some = frames if some is None else some
        while some.shape[1]:
            if not done:
                layout = torch.channels_last if some.ndim == 5 else torch.contiguous_format  # as frames are decoded
                size = (min(together, left), *some.shape[2:])
                part = torch.empty(size, dtype=some.dtype, device=some.device, memory_format=layout)[None]
            fits = min(some.shape[1], part.shape[1] - done)
            part[:, done : done + fits] = some[:, :fits]
            some, done, left = some[:, fits:], done + fits, left - fits
            if done == part.shape[1]:
                whole, part, done = [part], torch.empty(0), 0
                yield whole.pop()  # and hold it no longer
                give_back()
