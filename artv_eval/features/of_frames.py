"""Clips by the mean over their frames' features: extractors of pictures as those of FVD, KVD and JEDi.

Such features see what is in the picture and nothing of motion: a clip and its frames in another order are the same.

Shape suffixes: B clips, T frames, C channels, H W pixels, D features.
"""

from typing import Any

from torch import Tensor

from artv.ranges import Name, Pixels
from artv_eval.features.base import digest_of, seen_by
from artv_eval.features.dinov2 import DEFAULT, dinov2
from artv_eval.features.dinov3 import DEFAULT as DEFAULT3
from artv_eval.features.dinov3 import dinov3


class MeanOfFrames:
    """The mean of ``pictures``' features over the frames of a clip."""

    def __init__(self, pictures: Any):
        self.pictures, self.dim, self.device = pictures, pictures.dim, pictures.device
        self.name, self.digest = f"{pictures.name}-frames", digest_of([pictures.digest, "mean of frames"])

    def __call__(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, D) float32 on the CPU."""
        return seen_by(self, clip_BTCHW).mean(1)

    def seen(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, T, D): the features of each frame."""
        features = self.pictures.images(clip_BTCHW.flatten(0, 1))
        return features.unflatten(0, tuple(clip_BTCHW.shape[:2]))


def dinov2_frames(model: Name = DEFAULT, size: Pixels = 224, device: str = "cpu") -> MeanOfFrames:
    """Factory of the ``dinov2-frames`` features of clips; settings as of ``dinov2``."""
    return MeanOfFrames(dinov2(model, size=size, device=device))


def dinov3_frames(model: Name = DEFAULT3, size: Pixels = 224, device: str = "cpu") -> MeanOfFrames:
    """Factory of the ``dinov3-frames`` features of clips; settings as of ``dinov3``."""
    return MeanOfFrames(dinov3(model, size=size, device=device))
