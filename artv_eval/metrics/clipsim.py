"""CLIPSIM (Wu et al. 2021, GODIVA): cosine between caption and frame in CLIP space, mean over frames, then videos.

Shape suffixes: B clips, T frames, C channels, H W pixels, D embedding, n clips.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet
from artv_eval.features.base import TextImageExtractor
from artv_eval.metrics.base import MeanEvaluator, mean_over_frames, slope
from artv_eval.metrics.frame_features import by_features, features_measure


def frame_similarities(clip: TextImageExtractor, clips_BTCHW: Tensor, captions: Sequence[str]) -> Tensor:
    """(B, T) float32: cosine of every frame with its clip's caption."""
    if len(captions) != len(clips_BTCHW):
        raise UserError(f"{len(clips_BTCHW)} clips and {len(captions)} captions: there must be one caption a clip")
    image_BTD = clip.images(clips_BTCHW.flatten(0, 1)).unflatten(0, clips_BTCHW.shape[:2])
    return torch.einsum("btd,bd->bt", image_BTD.float(), clip.texts(captions).to(image_BTD).float())


def cosine_with(image_BTD: Tensor, other_BTD: Tensor) -> Tensor:
    """(B, T): cosine of features of pictures, which need not be of unit length."""
    return (F.normalize(image_BTD, dim=-1) * F.normalize(other_BTD, dim=-1)).sum(-1)


class ClipSimEvaluator(MeanEvaluator):
    """CLIPSIM in the harness: rows are the similarities of the frames, (n, T)."""

    higher_is_better = True
    needs = frozenset({"captions"})
    in_parts = True

    def __init__(self, clip: TextImageExtractor, *, name: str = "clipsim"):
        self.clip, self.name = clip, name
        self.digest = f"clipsim-{clip.name}-{clip.digest}"
        self.on_device = features_measure(clip, self._some)

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, T): cosine of every frame with the caption."""
        return by_features(self.clip, clips, self._some)

    def _some(self, requests: Sequence[ClipRequest], image_BTD: Tensor) -> Tensor:
        return torch.einsum("btd,bd->bt", image_BTD, self.clip.texts([request.caption for request in requests]).float())

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): mean over frames."""
        return rows.mean(1)

    def curve(self, rows: np.ndarray) -> np.ndarray:
        """(T,): mean over clips."""
        return rows.mean(0)


class ClipSimDrift(ClipSimEvaluator):
    """How fast agreement with the caption falls: slope of the similarity over the frame index, a frame."""

    least_frames = 2

    def __init__(self, clip: TextImageExtractor, *, name: str = "clipsim_drift"):
        super().__init__(clip, name=name)

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): slope of each clip's similarity a frame; below zero = the clip leaves its caption."""
        return slope(rows)


class AnchorSimilarity(MeanEvaluator):
    """Similarity to the anchor: CLIP-space cosine of every frame with the first one; rows (n, T)."""

    higher_is_better, in_parts = True, True

    def __init__(self, clip: TextImageExtractor, *, name: str = "anchor_similarity"):
        self.clip, self.name = clip, name
        self.digest = f"anchor-{clip.name}-{clip.digest}"
        self.on_device = features_measure(clip, self._some)

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, T): cosine of every frame with frame 0."""
        return by_features(self.clip, clips, self._some)

    def _some(self, requests: Sequence[ClipRequest], image_BTD: Tensor) -> Tensor:
        return cosine_with(image_BTD, image_BTD[:, :1])

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): mean over the frames after the first."""
        return mean_over_frames(rows[:, 1:])

    def curve(self, rows: np.ndarray) -> np.ndarray:
        """(T,): mean over clips."""
        return rows.mean(0)


class AnchorDrift(AnchorSimilarity):
    """How fast the similarity to the anchor falls: its slope over the frame index, a frame; rows are the same."""

    least_frames = 2

    def __init__(self, clip: TextImageExtractor, *, name: str = "anchor_drift"):
        super().__init__(clip, name=name)

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): slope of each clip's similarity a frame; below zero = the clip leaves its first frame."""
        return slope(rows)
