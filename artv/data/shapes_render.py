"""Pixels of the shapes worlds: backgrounds, poses over time, anti-aliased objects; batched, on any device.

Shape suffixes: B batch, O objects (2), T frames, H W pixels. Plans hold one row a clip. Where a picture does not change
over time its T is 1.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.data.shapes_words import MOTIONS, SHAPES

PALETTE = (
    (0.86, 0.14, 0.14),
    (0.12, 0.66, 0.22),
    (0.16, 0.28, 0.90),
    (0.95, 0.85, 0.15),
    (0.60, 0.20, 0.78),
    (0.98, 0.52, 0.08),
    (0.97, 0.97, 0.97),
    (0.06, 0.06, 0.06),
)
TINT_RGB = ((0.50, 0.50, 0.50), (0.55, 0.45, 0.36), (0.36, 0.52, 0.54), (0.47, 0.51, 0.36), (0.55, 0.43, 0.52))
PIXELS_A_SECOND = (7.2, 13.6)  # slow, quick travel in a picture of 64 pixels


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A plan at some frames, in pixels of a 64-pixel picture, ready to be drawn.

    Args:
        ground: (B, T, 3, H, W) in [0, 1], everything but the objects.
        pose: ``x``, ``y`` in the picture, ``radius`` and ``angle``, each (B, O, T).
        camera: (B, T, 2), where the picture's corner is in the world: x, y.
        post: (B, T, H, W), how much of a pixel belongs to what stands before the objects; None = nothing does.
    """

    ground: Tensor
    pose: dict[str, Tensor]
    camera: Tensor
    post: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Layers:
    """What :func:`composite` drew.

    ``frames`` uint8 (B, T, 3, H, W); ``motion`` bool (B, T, H, W); ``masks`` (B, O, T, H, W): each object's share of
    a pixel; ``in_view`` and ``seen`` (B, O, T): the share of an object's area that is in the picture, and that is
    also not hidden.
    """

    frames: Tensor
    motion: Tensor
    masks: Tensor
    in_view: Tensor
    seen: Tensor


def background(plan: dict[str, Tensor], size: int) -> Tensor:
    """(B, 3, H, W) in [0, 1]: a tint, smooth noise at two scales and a grating, all drawn per clip."""
    u = plan["ground"]
    base = torch.tensor(TINT_RGB, device=u.device)[plan["tint"]] + 0.12 * (u[:, 0:1] - 0.5)
    coarse = F.interpolate(plan["coarse"] - 0.5, size=(size, size), mode="bicubic", align_corners=True)
    fine = F.interpolate(plan["fine"] - 0.5, size=(size, size), mode="bicubic", align_corners=True)
    line = torch.linspace(0, 64, size, device=u.device)
    angle, wave = math.pi * u[:, 1, None, None], 7 + 11 * u[:, 2, None, None]
    along = line[None, None, :] * angle.cos() + line[None, :, None] * angle.sin()
    grating = torch.sin(2 * math.pi * (along / wave + u[:, 3, None, None]))
    amount = (0.03 + 0.09 * u[:, 4:7])[:, :, None, None]
    # noise keeps mostly to the lightness, so that object colours stay the saturated ones
    coarse = 0.7 * coarse.mean(1, keepdim=True) * 1.7 + 0.3 * coarse
    fine = 0.8 * fine.mean(1, keepdim=True) * 1.7 + 0.2 * fine
    noise = 0.40 * coarse + (0.12 + 0.22 * u[:, 7, None, None, None]) * fine
    return (base[:, :, None, None] + noise + amount * grating[:, None]).clamp(0.08, 0.92)


def poses(plan: dict[str, Tensor], seconds: Tensor) -> dict[str, Tensor]:
    """Centre ``x``, ``y``, ``radius`` (pixels of a 64-pixel picture) and ``angle``, each (B, O, T), at (B, 1, T)."""
    motion = plan["motion_label"].clamp_min(0)[..., None]
    is_ = {name: (motion == i).float() for i, name in enumerate(MOTIONS)}
    sign, travel = plan["sign"][..., None], pace(plan) * seconds
    # a triangle wave of ±9 pixels, starting in the middle
    swing = sign * 9 * triangle(travel / 36)
    x = plan["start"][..., 0:1] + travel * (is_["right"] - is_["left"]) + swing * is_["sways"]
    y = plan["start"][..., 1:2] + travel * (is_["down"] - is_["up"]) + swing * is_["hops"]
    growth = 1 + travel / 22 * is_["grows"] * 0.75 - (1 - torch.exp(-travel / 20)) * 0.75 * is_["shrinks"]
    angle = 0.6 * plan["turn"][..., None] + sign * travel * 0.13 * is_["spins"]
    return {"x": x, "y": y, "radius": plan["radius"][..., None] * growth, "angle": angle.expand_as(x)}


def pace(plan: dict[str, Tensor]) -> Tensor:
    """Pixels a second of each object, (B, O, 1)."""
    speed = plan["speed"].clamp_min(0)[..., None]
    return torch.tensor(PIXELS_A_SECOND, device=speed.device)[speed] * (0.92 + 0.16 * plan["jitter"][..., None])


def triangle(turns: Tensor) -> Tensor:
    """A wave between −1 and 1 of period 1 that rises from 0."""
    return 1 - 4 * ((turns + 0.25) % 1.0 - 0.5).abs()


def composite(scene: Scene, plan: dict[str, Tensor], size: int) -> Layers:
    """Objects over the background, the first of them lowest."""
    pose, ground = scene.pose, scene.ground
    B, objects, T = pose["x"].shape
    colours = torch.tensor(PALETTE, device=ground.device)[plan["colour"].clamp_min(0)]
    colours = (colours + 0.08 * plan["colour_jitter"]).clamp(0, 1)
    frames = ground.expand(B, T, *ground.shape[2:]).clone()
    masks = torch.zeros(B, objects, T, size, size, device=ground.device)
    in_view = torch.zeros(B, objects, T, device=ground.device)
    for o in range(objects):
        for s, name in enumerate(SHAPES):
            rows = (plan["shape"][:, o] == s).nonzero().squeeze(1)
            if len(rows) == 0:
                continue
            alpha, shade = _draw(DISTANCE[name], {k: v[rows, o] for k, v in pose.items()}, size)
            whole = AREA[name] * (pose["radius"][rows, o] * size / 64).square()
            in_view[rows, o] = alpha.sum((-2, -1)) / whole
            if scene.post is not None:
                alpha = alpha * (1 - scene.post[rows])
            paint = (colours[rows, o][:, None, :, None, None] * shade[:, :, None]).clamp(0, 1)
            frames[rows] = torch.lerp(frames[rows], paint, alpha[:, :, None])
            masks[rows, o] = alpha
    covered = (masks > 0.1).any(1)
    _hide_lower(masks, plan["shape"] >= 0)
    areas = torch.tensor([AREA[name] for name in SHAPES], device=ground.device)[plan["shape"].clamp_min(0)]
    seen = masks.sum((-2, -1)) / (areas[..., None] * (pose["radius"] * size / 64).square())
    return Layers(
        frames=(frames * 255).round().to(torch.uint8),
        motion=_motion(covered, scene.camera),
        masks=masks,
        in_view=in_view,
        seen=seen,
    )


def _hide_lower(masks: Tensor, there: Tensor) -> None:
    """In place: what an upper object covers, the lower one does not show."""
    rows = there.all(1).nonzero().squeeze(1)
    masks[rows, 0] = masks[rows, 0] * (1 - masks[rows, 1])


def _motion(covered: Tensor, camera: Tensor) -> Tensor:
    """(B, T, H, W): covered by an object now or one frame ago, or everything where the camera moved; not in frame 0."""
    motion = covered | torch.cat([covered[:, :1], covered[:, :-1]], dim=1)
    moved = (camera[:, 1:] != camera[:, :-1]).any(-1)
    if bool(moved.any()):
        motion[:, 1:] |= moved[..., None, None]
    motion[:, 0] = False
    return motion


def _draw(distance, pose: dict[str, Tensor], size: int) -> tuple[Tensor, Tensor]:
    """Coverage in [0, 1] and a shading that turns with the object, each (B, T, H, W)."""
    scale = 64 / size
    line = (torch.arange(size, device=pose["x"].device) + 0.5) * scale
    x = line[None, None, None, :] - pose["x"][..., None, None]
    y = line[None, None, :, None] - pose["y"][..., None, None]
    radius, angle = pose["radius"][..., None, None], pose["angle"][..., None, None]
    cos, sin = angle.cos() / radius, angle.sin() / radius
    u, v = x * cos + y * sin, y * cos - x * sin
    alpha = (0.5 - distance(u, v) * radius / scale).clamp(0, 1)
    return alpha, (1 - 0.22 * (u + v)).clamp(0.6, 1.4)


def _circle(u: Tensor, v: Tensor) -> Tensor:
    return (u * u + v * v).sqrt() - 0.95


def _ring(u: Tensor, v: Tensor) -> Tensor:
    return ((u * u + v * v).sqrt() - 0.75).abs() - 0.25


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) - 0.82


def _triangle(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(0.866 * u.abs() - 0.5 * v, v) - 0.52


def _cross(u: Tensor, v: Tensor) -> Tensor:
    a, b = u.abs(), v.abs()
    return torch.minimum(torch.maximum(a - 0.34, b - 1), torch.maximum(a - 1, b - 0.34))


NOTCH = 0.5  # of the star, whose tips are at 1.1


def _star(u: Tensor, v: Tensor) -> Tensor:
    # one of five equal sectors: a straight edge from the tip (radius 1.1) to the notch
    sector = 2 * math.pi / 5
    r = (u * u + v * v).sqrt()
    theta = ((torch.atan2(u, -v) + sector / 2) % sector - sector / 2).abs()
    x, y = r * theta.sin(), r * theta.cos()
    nx, ny = 1.1 - NOTCH * math.cos(sector / 2), NOTCH * math.sin(sector / 2)
    length = math.hypot(nx, ny)
    return (x * nx + (y - 1.1) * ny) / length


DISTANCE = {
    "circle": _circle,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
}
AREA = {
    "circle": math.pi * 0.95**2,
    "ring": math.pi * (1 - 0.5**2),
    "square": 1.64**2,
    "triangle": 3 * math.sqrt(3) * 0.52**2,
    "star": 5 * 1.1 * NOTCH * math.sin(math.pi / 5),
    "cross": 2 * 2 * 0.68 - 0.68**2,
}
"""The area of each shape at radius 1."""
