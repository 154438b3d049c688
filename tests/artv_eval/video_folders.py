"""Small video files, and features of them that count the clips they see."""

import numpy as np
import torch

from artv.video import write_video
from artv_eval.files.decoding import Excerpt


class Means:
    """Six numbers a clip, and a count of the clips it has seen."""

    name, digest, dim = "means", "0", 6

    def __init__(self):
        self.seen = 0

    def __call__(self, clip_BTCHW):
        self.seen += len(clip_BTCHW)
        x = clip_BTCHW.float() / 255
        return torch.cat([x.mean((1, 3, 4)), x.std((1, 3, 4))], 1)


def clip_file(path, seed, frames=6, size=32, fps=8.0, shift=0):
    rng = np.random.default_rng(seed)
    texture = rng.integers(60, 160, (1, size // 8, size // 8, 3)).repeat(8, 1).repeat(8, 2)
    video = (texture + rng.integers(0, 40, (frames, 1, 1, 3)) + shift).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, video, fps)
    return path


EXCERPT = Excerpt(frames=4)
