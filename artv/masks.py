"""The picture of the supplementary's Fig. 1: the mask of every frame over the sampling steps, bright = copied.

Shape suffixes: S sampling steps, T frames, H W pixels, h w mask cells.
"""

import numpy as np
from PIL import Image, ImageDraw

MARGIN, GAP, COLUMNS = 14, 2, 13


def some_steps(count: int) -> np.ndarray:
    """Up to 13 sampling steps spread over ``count`` of them, from 0, the first and the last included."""
    return np.unique(np.linspace(0, count - 1, min(count, COLUMNS)).round().astype(int))


def mask_figure(frames_THW3: np.ndarray, masks_SThw: np.ndarray) -> Image.Image:
    """A row a generated frame: its reference, the frame, then its mask at up to 13 steps spread over the sampling.

    Args:
        frames_THW3: uint8, the first frame included.
        masks_SThw: (steps, T − 1, h, w) in [0, 1].
    """
    rows = masks_SThw.shape[1]
    H, W = frames_THW3.shape[1:3]
    steps = some_steps(len(masks_SThw))
    width = MARGIN + (W + GAP) * (2 + len(steps))
    figure = Image.new("RGB", (width, MARGIN + (H + GAP) * rows), "white")
    draw = ImageDraw.Draw(figure)
    for column, title in enumerate(["ref.", "frame", *(f"step {step}" for step in steps)]):
        draw.text((MARGIN + column * (W + GAP), 1), title, fill="black")
    for row in range(rows):
        y = MARGIN + row * (H + GAP)
        draw.text((1, y + H // 2 - 5), str(row + 1), fill="black")
        pictures = [Image.fromarray(frames_THW3[row]), Image.fromarray(frames_THW3[row + 1])]
        pictures += [_grey(masks_SThw[step, row], (W, H)) for step in steps]
        for column, picture in enumerate(pictures):
            figure.paste(picture, (MARGIN + column * (W + GAP), y))
    return figure


def _grey(mask_hw: np.ndarray, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray((mask_hw * 255).round().astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
