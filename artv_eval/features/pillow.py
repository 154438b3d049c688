"""Pillow's resampling of 8-bit pictures, to the bit, on any device: what published numbers were computed through.

Pillow weighs the pixels of a row, then those of a column, with whole numbers in units of 2⁻²², and rounds and cuts to
0 … 255 after either. ``torch``'s interpolation rounds once, at the end: a fifth of all pixels differ, some by 25.
Since Pillow 13 columns may come first where the two axes are scaled differently; here rows always do, as before.

Shape suffixes: N pictures, C channels, H W pixels, K taps.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from artv.requests import check_name

ALL = slice(None)
BITS = 22
"""Bits of a weight behind the point: 32 less 8 of a pixel and 2 of room for sums above 1."""


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _cubic(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    x = np.abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""The weight by the distance in pixels of the smaller picture, and where it ends."""


def pillow_resize(
    image_NCHW: Tensor, size: tuple[int, int], filter: str = "bicubic", crop: tuple[slice, slice] = (ALL, ALL)
) -> Tensor:
    """uint8 (N, C, H, W) → uint8 at (H', W'), as ``PIL.Image.resize`` with that filter does.

    ``crop``: rows and columns of the result; others are not made.
    """
    check_name("resize filter", filter, KERNELS)
    wide = _along(image_NCHW, size[1], filter, crop[1])
    return _along(wide.transpose(2, 3), size[0], filter, crop[0]).transpose(2, 3).contiguous()


def _along(image_NCHW: Tensor, width: int, filter: str, crop: slice) -> Tensor:
    """The last axis to ``width`` pixels, and those of them that are wanted."""
    if image_NCHW.shape[3] == width:
        return image_NCHW[..., crop]
    index_KW, weight_KW = (part[:, crop] for part in _taps(image_NCHW.shape[3], width, filter, image_NCHW.device))
    shape = (*image_NCHW.shape[:3], index_KW.shape[1])
    total = torch.full(shape, 1 << BITS - 1, dtype=torch.int32, device=image_NCHW.device)
    for index, weight in zip(index_KW, weight_KW, strict=True):
        total += image_NCHW.index_select(3, index) * weight
    return (total >> BITS).clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=64)
def _taps(length: int, width: int, filter: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each pixel of the result the pixels that it is made of, int64 (K, W), and their weights, int32."""
    kernel, reach = KERNELS[filter]
    scale = length / width
    stretch = max(scale, 1.0)
    centre = (np.arange(width) + 0.5) * scale
    first = np.maximum((centre - reach * stretch + 0.5).astype(int), 0)
    end = np.minimum((centre + reach * stretch + 0.5).astype(int), length)
    index_KW = first + np.arange(math.ceil(reach * stretch) * 2 + 1)[:, None]
    weight = np.where(index_KW < end, kernel((index_KW - centre + 0.5) / stretch), 0.0)
    weight /= weight.sum(0)
    whole = np.trunc(weight * (1 << BITS) + np.copysign(0.5, weight)).astype(np.int32)
    return torch.from_numpy(np.minimum(index_KW, length - 1)).to(device), torch.from_numpy(whole).to(device)
