"""A source of first frames, for protocols that give none."""

import numpy as np


def ramp(*, level: int = 60):
    """A grey ramp whose direction depends on the seed: replace it by a text-to-image model.

    Args:
        level: the darkest grey, 0 … 255.
    """

    def draw(prompts, height, width, seeds):
        frames = np.empty((len(prompts), height, width, 3), np.uint8)
        for frame, seed in zip(frames, seeds, strict=True):
            across = np.linspace(level, 255, width)[:, None]
            frame[:] = across if np.random.default_rng(seed).random() < 0.5 else across[::-1]
        return frames

    return draw
