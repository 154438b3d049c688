"""Features of every frame, made once for all metrics of an encoder that look at the same few clips.

    rows = by_features(encoder, clips, lambda requests, feature_BTD: feature_BTD.flatten(1))        # (n, T·D)

Shape suffixes: n clips, B clips at a time, T frames, D features, d numbers a row.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet
from artv_eval.extras import ExtractorExtras, optional
from artv_eval.features.base import TextImageExtractor
from artv_eval.metrics.device_views import FrameMeasure
from artv_eval.metrics.views import Together, along_the_clips, batches, values_on

Some = tuple[Sequence[ClipRequest], np.ndarray]


def by_features(
    encoder: TextImageExtractor, clips: ClipSet, measure: Callable[[Sequence[ClipRequest], Tensor], Tensor]
) -> np.ndarray:
    """What ``measure`` gives for a few clips, (B, d), of the features of their frames, float32 (B, T, D): (n, d).

    Raises:
        UserError: there are no clips, or they differ in size.
    """
    rows, lengths = [], set()
    for requests, features in _features(encoder, clips):
        rows.append(measure(requests, torch.from_numpy(features)).numpy())
        lengths.add(features.shape[1])
    if not rows:
        raise UserError("no clips to score")
    if len(lengths) > 1:
        raise UserError(f"clips of one set have {min(lengths)} to {max(lengths)} frames; give clips of one length")
    return np.concatenate(rows)


def features_measure(
    encoder: TextImageExtractor, measure: Callable[[Sequence[ClipRequest], Tensor], Tensor]
) -> FrameMeasure:
    """The same where the encoder's device does the work; ``measure`` as of :func:`by_features`."""
    there = optional(encoder, ExtractorExtras, "takes_device")
    return FrameMeasure(
        key=_key(encoder),
        measure=lambda view: encoder.images(view.frames if there else view.host).float().cpu(),
        row=lambda request, image_TD: measure([request], image_TD[None]).numpy()[0],
    )


def _key(encoder: TextImageExtractor) -> str:
    return f"features of frames by {encoder.name} {encoder.digest}"


def _features(encoder: TextImageExtractor, clips: ClipSet) -> Iterator[Some]:
    """A few clips at a time; where the clips are few and metrics share what they find, only the first makes them."""
    if clips.shared is None:
        return _made(encoder, clips)
    key = _key(encoder)
    if key not in clips.shared:
        clips.shared[key] = list(_made(encoder, clips))
    return iter(clips.shared[key])


def _made(encoder: TextImageExtractor, clips: ClipSet) -> Iterator[Some]:
    def encoded(view: Together) -> Tensor:
        frames = view.frames_BTCHW
        return encoder.images(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).float()

    device = optional(encoder, ExtractorExtras, "device")
    for batch in batches(clips, device=device):
        yield [request for request, _ in batch], along_the_clips(batch, encoded, values_on(device))
