"""What the pipeline gives: whole clips, or frame by frame.

Shape legend: B samples, T frames, H W pixels, h w mask cells.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from artv.rollout import Frame


@dataclass(frozen=True)
class ArtVOutput:
    """What a call returns.

    ``frames``: uint8 (T, H, W, 3), or (B, T, H, W, 3) for a list of prompts. ``masks``: float32 (steps, T − 1, h, w)
    with a leading B for a list, 1 = copied from the reference; None unless asked for, or without a mask network.
    ``failures``: sample → what happened; its frames repeat the last good one from there on.
    """

    frames: np.ndarray
    masks: np.ndarray | None = None
    failures: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ArtVFrame:
    """One frame of every sample, of ``stream(details=True)``.

    ``images``: uint8 (B, H, W, 3). ``masks``: float32 (B, steps, h, w), 1 = copied from the reference; None for the
    first frame, or without a mask network. ``failures``: sample → what happened in this frame.
    """

    images: np.ndarray
    masks: np.ndarray | None = None
    failures: Mapping[int, str] = field(default_factory=dict)


def failures_of(frame: Frame) -> dict[int, str]:
    """Sample → what happened to it in this frame."""
    return {b: f"latent not finite at frame {frame.index}, step {step}" for b, step in frame.failed.items()}


def masks_of(frame: Frame) -> np.ndarray | None:
    """(B, steps, h, w)."""
    return None if frame.masks is None else frame.masks.transpose(0, 1).float().cpu().numpy()
