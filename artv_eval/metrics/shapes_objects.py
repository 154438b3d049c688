"""Finds the objects of a shapes world in any frames, by colour against a known background.

A pixel belongs to an object if it differs from the background and, of the world's eight colours in all their shades,
the object's is the nearest. The same finder runs on the true frames, so that rims, shading and what hides an object
count alike on both sides.

Shape suffixes: t frames, H W pixels, K colours, S shades of one, P template pictures, G their side.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.data.shapes_render import AREA, DISTANCE, PALETTE
from artv.data.shapes_words import SHAPES

DIFFERS = 40.0  # grey levels (Euclidean in RGB) from the background, below which a pixel is background
NEAR = 60.0  # from the nearest shade of a colour, above which a pixel has none of the colours
SHADES = (0.6, 0.8, 1.0, 1.2, 1.4)  # as objects are shaded from side to side
SIDE, ANGLES = 24, 8


@cache
def _shades() -> Tensor:
    """(K·S, 3), grey levels."""
    palette = torch.tensor(PALETTE)[:, None] * torch.tensor(SHADES)[None, :, None]
    return (palette.clamp(0, 1) * 255).flatten(0, 1)


def nearest_colour(frames_tHW3: Tensor, background_tHW3: Tensor) -> Tensor:
    """(t, H, W) int64: index of the colour of what stands before the background, −1 where nothing does."""
    x = frames_tHW3.float()
    found = torch.full(x.shape[:3], -1)
    differs = (x - background_tHW3.float()).norm(dim=-1) >= DIFFERS
    distance = torch.cdist(x[differs], _shades()).unflatten(1, (len(PALETTE), len(SHADES))).amin(2)
    value, index = distance.min(1)
    found[differs] = torch.where(value <= NEAR, index, -1)
    return found


@dataclass(frozen=True)
class Found:
    """Area in pixels (t,), and centre of it (t, 2) as x, y; NaN where there is no pixel."""

    area: Tensor
    centre: Tensor


def locate(mask_tHW: Tensor) -> Found:
    """Measures of the pixels that are an object's."""
    mask = mask_tHW.float()
    area = mask.sum((1, 2))
    line = [torch.arange(n) + 0.5 for n in mask.shape[1:]]
    x, y = (mask.sum(1) * line[1]).sum(1) / area, (mask.sum(2) * line[0]).sum(1) / area
    return Found(area, torch.stack([x, y], 1))


@cache
def _templates() -> Tensor:
    """(shapes · ANGLES, G·G): every shape at area 1, turned by parts of a sixth to a third of a circle."""
    line = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    pictures = []
    for name in SHAPES:
        radius = 1 / math.sqrt(AREA[name])
        for k in range(ANGLES):
            angle = 2 * math.pi / 3 * k / ANGLES
            u = (x * math.cos(angle) + y * math.sin(angle)) / radius
            v = (y * math.cos(angle) - x * math.sin(angle)) / radius
            pictures.append((0.5 - DISTANCE[name](u, v) * radius * SIDE / 2).clamp(0, 1))
    return torch.stack(pictures).flatten(1)


def shape_of(mask_tHW: Tensor, found: Found) -> Tensor:
    """(t,) int64: index of the shape that a mask is most like, whatever its place, size and angle."""
    H, W = mask_tHW.shape[1:]
    reach = found.area.sqrt()[:, None, None]
    line = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x = (found.centre[:, 0, None, None] + reach * line[None, None, :]).expand(-1, SIDE, -1)
    y = (found.centre[:, 1, None, None] + reach * line[None, :, None]).expand(-1, -1, SIDE)
    grid = torch.stack([2 * x / W - 1, 2 * y / H - 1], -1)
    patches = F.grid_sample(mask_tHW[:, None].float(), grid, align_corners=False)[:, 0].flatten(1)
    return torch.cdist(patches, _templates(), p=1).argmin(1) // ANGLES
