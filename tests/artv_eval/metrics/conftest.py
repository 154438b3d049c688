"""Small sets of clips and networks that stand in for trained ones."""

import numpy as np
import pytest
import torch

from artv.data.shapes import ShapesWorld
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip


class MeanFeatures:
    """Eight numbers a clip: mean and spread of channels, and how much frames change."""

    name, digest, dim = "mean", "0", 8

    def __call__(self, clip_BTCHW):
        x = clip_BTCHW.float() / 255
        change = (x[:, 1:] - x[:, :-1]).abs().mean((1, 2, 3, 4))
        return torch.cat([x.mean((1, 3, 4)), x.std((1, 3, 4)), change[:, None], x.amax((1, 2, 3, 4))[:, None]], 1)


def _clip_set(frames, captions=None, masks=None, **fields):
    """A ClipSet of clips uint8 (n, T, H, W, 3); ``fields``: one value a clip for each field of the request."""
    n, T, H, W, _ = frames.shape
    captions = captions or ["a clip"] * n
    requests = [
        ClipRequest(
            index=i, prompt=captions[i], seed=i, num_frames=T, height=H, width=W, fps=8.0,
            **{key: values[i] for key, values in fields.items()},
        )
        for i in range(n)
    ]  # fmt: skip
    return ClipSet(requests, lambda i: GeneratedClip(frames[i], None if masks is None else masks[i]))


@pytest.fixture(scope="session")
def clip_set():
    """Function that makes a ClipSet of frames."""
    return _clip_set


@pytest.fixture(scope="session")
def mean_features():
    """An extractor without weights."""
    return MeanFeatures()


@pytest.fixture(scope="session")
def world():
    """Twelve real clips of the shapes world as (frames (n, T, H, W, 3), clips)."""
    world = ShapesWorld("test")
    clips = [world.clip(i) for i in range(12)]
    return np.stack([clip.frames for clip in clips]), clips


@pytest.fixture(scope="session")
def labels(world):
    """Labels as the shapes protocol gives them."""
    batch = ShapesWorld("test").batch(range(12))
    return [
        {"colour": batch.colour[i].numpy(), "motion_label": batch.motion_label[i].numpy(), "motion": clip.motion}
        for i, clip in enumerate(world[1])
    ]
