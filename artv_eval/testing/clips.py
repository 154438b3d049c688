"""Requests and clips of the shapes world, for tests: labels, first frames, ground truth and masks are all there."""

from collections.abc import Sequence

import numpy as np

from artv.data.shapes import ShapesWorld
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip


def toy_requests(num: int = 4, *, frames: int = 6, size: int = 64, seed: int = 0, start: int = 0) -> list[ClipRequest]:
    """Requests for clips of ``frames`` frames of ``size``×``size`` pixels."""
    world = ShapesWorld("test", seed=0, num_frames=frames, size=size)
    batch = world.batch(range(start, start + num))
    real_BTHWC = batch.frames.permute(0, 1, 3, 4, 2).contiguous().numpy()
    return [
        ClipRequest(
            index=start + i,
            prompt=batch.captions[i],
            seed=1000 * seed + start + i,
            num_frames=frames,
            height=size,
            width=size,
            fps=world.fps,
            first_frame=real_BTHWC[i, 0],
            real=real_BTHWC[i],
            labels={
                "motion": batch.motion[i].numpy(),
                **{key: getattr(batch, key)[i].numpy() for key in ("colour", "shape", "motion_label", "speed")},
            },
        )
        for i in range(num)
    ]


def toy_clips(num: int = 4, *, frames: int = 6, size: int = 64, noise: float = 0.0, start: int = 0) -> ClipSet:
    """Clips with their requests: the real ones, with ``noise`` grey levels of noise if asked for, and a mask."""
    requests = toy_requests(num, frames=frames, size=size, start=start)
    return ClipSet(requests, lambda i: _clip(requests, i, noise))


def _clip(requests: Sequence[ClipRequest], i: int, noise: float) -> GeneratedClip:
    request = requests[i]
    assert request.real is not None
    rng = np.random.default_rng(request.seed)
    frames = (request.real + rng.normal(0, noise, request.real.shape)).clip(0, 255).astype(np.uint8)
    still = 1 - np.asarray(request.labels["motion"])[1:, ::4, ::4].astype(np.float32)
    return GeneratedClip(frames, still * 0.9)
