"""The first frame, growing darker."""

import numpy as np

from artv_eval import GeneratedClip


class Fade:
    """The first frame, growing darker: replace it by your model.

    Args:
        rate: share of the brightness that every frame loses.
    """

    def __init__(self, *, rate: float = 0.05):
        self.rate = rate

    def generate(self, requests):
        """One clip a request; a clip may depend on nothing but its own request."""
        for request in requests:
            levels = (1 - self.rate) ** np.arange(request.num_frames)
            frames = request.first_frame[None] * levels[:, None, None, None]
            yield GeneratedClip(frames.astype(np.uint8))
