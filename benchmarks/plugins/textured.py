"""A method without a model: a texture that moves, as long and as large as asked for, streamed, with masks.

For benchmarks of everything around a model: ``artv-eval --plugins-dir benchmarks/plugins sweep --ablation textured …``.
And a reader of files that say how many such frames they have, ``FRAMES HEIGHT WIDTH``: clips to score where there is no
codec, with PYTHONPATH=benchmarks/plugins.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from artv_eval import CellSpec, ClipRequest, Component, GeneratedClip, hookimpl
from artv_eval.api import NextFrames


@hookimpl
def register_methods():
    return [Component("textured", f"{__name__}:Textured", "a texture that moves")]


@hookimpl
def register_ablations():
    return [Component("textured", f"{__name__}:cells", "the texture")]


@hookimpl
def register_readers():
    # by the name under which processes that decode find it, which do not know the folder of plugins
    return [Component("textured", "textured:Made", "files that say how many frames to make")]


def cells():
    return lambda context: [CellSpec(name="textured", method="textured")]


@cache
def texture(height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 3)."""
    y, x = np.ogrid[:height, :width]
    wave = np.sin(x / 9) + np.cos(y / 7)
    return np.stack([127 + 40 * wave, 127 + 30 * wave, 127 - 40 * wave], -1).astype(np.uint8)


def frame(i: int, height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 3): the texture, moved."""
    return np.roll(texture(height, width), (i, 3 * i), (0, 1))


class Textured:
    """The method."""

    def generate(self, requests: Sequence[ClipRequest]) -> Iterator[GeneratedClip]:
        for request in requests:
            frames = [frame(i, request.height, request.width) for i in range(request.num_frames)]
            mask = np.full((request.num_frames - 1, request.height // 8, request.width // 8), 0.5, np.float32)
            yield GeneratedClip(np.stack(frames), mask)

    def stream(self, requests: Sequence[ClipRequest]) -> Iterator[NextFrames]:
        size, B = requests[0], len(requests)
        mask = np.full((B, 1, size.height // 8, size.width // 8), 0.5, np.float32)
        for i in range(size.num_frames):
            picture = frame(i, size.height, size.width)
            yield NextFrames(np.broadcast_to(picture, (B, 1, *picture.shape)), mask if i else None)


class Made:
    """The reader."""

    fps = 16.0

    def __init__(self, path: Path) -> None:
        self.count, self.height, self.width = (int(word) for word in path.read_text(encoding="utf-8").split()[:3])

    def __len__(self) -> int:
        return self.count

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return np.stack([frame(i, self.height, self.width) for i in indices])
