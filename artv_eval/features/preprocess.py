"""Resizing and cropping, with the filter named: published FVD moved by 40 % with nothing but this (PEERS of the field).

Shape suffixes: B clips, T frames, C channels, H W pixels, N pictures.
"""

import io
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import Field
from torch import Tensor

from artv.errors import UserError, closest
from artv.requests import MOST_PIXELS
from artv.yaml_models import YamlModel

Filter = Literal["bilinear", "bilinear-antialias", "bicubic", "bicubic-antialias", "area", "nearest", "lanczos"]

FILTERS: dict[str, dict[str, Any]] = {
    "bilinear": {"mode": "bilinear", "align_corners": False},
    "bilinear-antialias": {"mode": "bilinear", "align_corners": False, "antialias": True},
    "bicubic": {"mode": "bicubic", "align_corners": False},
    "bicubic-antialias": {"mode": "bicubic", "align_corners": False, "antialias": True},
    "area": {"mode": "area"},
    "nearest": {"mode": "nearest"},
}


class Transform(YamlModel):
    """What happens to every clip, real or generated, before its features. All steps are optional, in this order.

    ``shorter_side``: scales so that the shorter side has this many pixels; ``crop``: a centred square of this many
    pixels, or ``largest``; ``size``: scales the result to size × size; ``jpeg``: stores every frame as JPEG of this
    quality and reads it again. The filter ``lanczos`` is Pillow's, on uint8.
    """

    shorter_side: int | None = Field(default=None, ge=1, le=MOST_PIXELS)
    crop: Annotated[int, Field(ge=1, le=MOST_PIXELS)] | Literal["largest"] | None = None
    size: int | None = Field(default=None, ge=1, le=MOST_PIXELS)
    filter: Filter = "bilinear"
    jpeg: int | None = Field(default=None, ge=1, le=95)

    def __call__(self, clip_THWC: np.ndarray) -> np.ndarray:
        """uint8 (T, H, W, 3) → uint8 (T, H', W', 3)."""
        if self == Transform(filter=self.filter):
            return clip_THWC
        x_TCHW = torch.from_numpy(clip_THWC).permute(0, 3, 1, 2)
        if self.shorter_side is not None:
            H, W = x_TCHW.shape[-2:]
            scale = self.shorter_side / min(H, W)
            x_TCHW = resize(x_TCHW, (round(H * scale), round(W * scale)), self.filter)
        if self.crop is not None:
            x_TCHW = centre_crop(x_TCHW, self.crop)
        if self.size is not None:
            x_TCHW = resize(x_TCHW, (self.size, self.size), self.filter)
        frames_THWC = x_TCHW.permute(0, 2, 3, 1).contiguous().numpy()
        return frames_THWC if self.jpeg is None else np.stack([_as_jpeg(frame, self.jpeg) for frame in frames_THWC])

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what comes out."""
        if self.size is not None:
            return self.size, self.size
        if self.crop is not None and self.crop != "largest":
            return self.crop, self.crop
        scale = self.shorter_side / min(height, width) if self.shorter_side is not None else 1.0
        height, width = round(height * scale), round(width * scale)
        return (min(height, width),) * 2 if self.crop == "largest" else (height, width)


def resize(image_NCHW: Tensor, size: tuple[int, int], filter: str = "bilinear") -> Tensor:
    """uint8 or float (N, C, H, W) → the same type at (H', W'); uint8 is rounded, not cut off."""
    if filter not in (*FILTERS, "lanczos"):
        raise UserError(f"resize filter is {filter!r}; {closest(filter, (*FILTERS, 'lanczos'))}")
    if tuple(image_NCHW.shape[-2:]) == tuple(size):
        return image_NCHW
    if filter == "lanczos":
        return _lanczos(image_NCHW, size)
    resized = F.interpolate(image_NCHW.float(), size=size, **FILTERS[filter])
    return resized.round().clamp(0, 255).to(torch.uint8) if image_NCHW.dtype == torch.uint8 else resized


def _lanczos(image_NCHW: Tensor, size: tuple[int, int]) -> Tensor:
    if image_NCHW.dtype != torch.uint8:
        raise UserError(f"resize filter 'lanczos' is Pillow's and takes uint8, not {image_NCHW.dtype}")
    frames = image_NCHW.permute(0, 2, 3, 1).cpu().numpy()
    resized = [np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.LANCZOS)) for frame in frames]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).to(image_NCHW.device)


def _as_jpeg(frame_HWC: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(frame_HWC).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def centre_crop(image_NCHW: Tensor, crop: int | Literal["largest"]) -> Tensor:
    """The centred square of ``crop`` pixels a side, or the largest one."""
    H, W = image_NCHW.shape[-2:]
    side = min(H, W) if crop == "largest" else crop
    if side > min(H, W):
        raise UserError(
            f"a crop of {side} pixels does not fit a picture of {H} x {W}; scale it up first (shorter_side)"
        )
    top, left = (H - side) // 2, (W - side) // 2
    return image_NCHW[..., top : top + side, left : left + side]
