"""Synthetic damage to clips, as a video model does it, with its kind and strength as the label.

The classifier of the shapes world learns to tell them, so that its features see picture quality; tests and benchmarks
use them to check that a metric sees a flaw.

Shape suffixes: B clips, T frames, C channels (3), H W pixels, K kinds.
Pictures are float in [0, 1]; strengths in (0, 1].
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def _expand(strength_B: Tensor) -> Tensor:
    return strength_B[:, None, None, None, None]


def _ramp(x: Tensor) -> Tensor:
    """(1, T, 1, 1, 1): 0 at the first frame, 1 at the last."""
    return torch.linspace(0, 1, x.shape[1], device=x.device)[None, :, None, None, None]


def _rand(shape: tuple[int, ...], x: Tensor, g: Generator | None) -> Tensor:
    return torch.rand(shape, device=x.device, generator=g)


def _smooth_field(x: Tensor, points: int, frames: int, g: Generator | None) -> Tensor:
    """(B, frames, 3, H, W) smooth noise in about [−1, 1]."""
    grid = _rand((len(x) * frames, 3, points, points), x, g) * 2 - 1
    return F.interpolate(grid, size=x.shape[-2:], mode="bicubic").unflatten(0, (len(x), frames))


def blur(x: Tensor, strength_B: Tensor, g: Generator | None) -> Tensor:
    """Gaussian of up to 2.5 pixels, in about half of the cases growing over the clip."""
    kernel = torch.tensor([1.0, 4, 6, 4, 1], device=x.device) / 16
    kernel_CC = (kernel[:, None] * kernel)[None, None].expand(3, 1, 5, 5)
    soft = x.flatten(0, 1)
    levels = [soft]
    for _ in range(6):
        soft = F.conv2d(F.pad(soft, (2, 2, 2, 2), mode="replicate"), kernel_CC, groups=3)
        levels.append(soft)
    level_BTLCHW = torch.stack(levels, 1).unflatten(0, x.shape[:2])
    growing = _rand((len(x), 1), x, g) < 0.5
    amount_BT = strength_B[:, None] * torch.where(growing, _ramp(x)[..., 0, 0, 0], 1.0) * (len(levels) - 1)
    position = torch.arange(len(levels), device=x.device)
    weight_BTL = (1 - (amount_BT[..., None] - position).abs()).clamp(0, 1)
    return torch.einsum("btlchw,btl->btchw", level_BTLCHW, weight_BTL)


def noise(x: Tensor, strength_B: Tensor, g: Generator | None) -> Tensor:
    """White noise of up to 0.15, new in every frame or the same in all of them."""
    fresh = torch.randn(x.shape, device=x.device, generator=g)
    still = _expand((_rand((len(x),), x, g) < 0.3).float())
    return x + 0.15 * _expand(strength_B) * torch.lerp(fresh, fresh[:, :1].expand_as(fresh), still)


def texture_drift(x: Tensor, strength_B: Tensor, g: Generator | None) -> Tensor:
    """Another texture fades in over the clip, by up to 0.35 in the last frame, at a random scale."""
    points = int(torch.randint(3, 15, (1,), device=x.device, generator=g))
    return x + 0.35 * _expand(strength_B) * _ramp(x) * _smooth_field(x, points, 1, g)


def flicker(x: Tensor, strength_B: Tensor, g: Generator | None) -> Tensor:
    """Brightness (or a smooth field of it) that jumps from frame to frame by up to 0.2."""
    jump = torch.randn(x.shape[:2], device=x.device, generator=g)[:, :, None, None, None]
    local = _smooth_field(x, 4, x.shape[1], g)
    whole = _expand((_rand((len(x),), x, g) < 0.5).float())
    return x + _expand(strength_B) * torch.lerp(0.25 * local, 0.12 * jump.expand_as(x), whole)


def freeze(x: Tensor, strength_B: Tensor, g: Generator | None) -> Tensor:
    """The last ``strength`` of the clip repeats the frame before; strength 1 is a still of the first frame."""
    T = x.shape[1]
    stop_B = ((1 - strength_B) * (T - 1)).round().long()
    index_BT = torch.minimum(torch.arange(T, device=x.device), stop_B[:, None])
    return x[torch.arange(len(x), device=x.device)[:, None], index_BT]


def colour_shift(x: Tensor, strength_B: Tensor, g: Generator | None) -> Tensor:
    """Gain, offset and saturation go wrong, at once or growing over the clip."""
    at = torch.lerp(torch.ones_like(_ramp(x)), _ramp(x), _expand((_rand((len(x),), x, g) < 0.6).float()))
    amount = _expand(strength_B) * at
    offset = (_rand((len(x), 1, 3, 1, 1), x, g) - 0.5) * 0.6
    gain = (_rand((len(x), 1, 1, 1, 1), x, g) - 0.5) * 1.2
    colour = (_rand((len(x), 1, 1, 1, 1), x, g) - 0.6) * 2
    grey = x.mean(2, keepdim=True)
    mean = x.mean((2, 3, 4), keepdim=True)
    return x + amount * (offset + gain * (x - mean) + colour * (x - grey))


def shuffle(x: Tensor, strength_B: Tensor, g: Generator | None) -> Tensor:
    """Frames trade places over distances that grow with the strength."""
    T = x.shape[1]
    place = torch.arange(T, device=x.device) + strength_B[:, None] * T * (_rand((len(x), T), x, g) - 0.5)
    return x[torch.arange(len(x), device=x.device)[:, None], place.argsort(1)]


def ghost(x: Tensor, strength_B: Tensor, g: Generator | None) -> Tensor:
    """Every frame keeps up to 0.9 of the frame before: trails, and objects that dissolve."""
    keep = 0.4 * _expand(strength_B)[:, 0] + 0.5 * _expand(strength_B)[:, 0] ** 2
    frames = [x[:, 0]]
    for t in range(1, x.shape[1]):
        frames.append(torch.lerp(x[:, t], frames[-1], keep))
    return torch.stack(frames, 1)


CORRUPTIONS: dict[str, Callable[[Tensor, Tensor, Generator | None], Tensor]] = {
    "blur": blur,
    "noise": noise,
    "texture_drift": texture_drift,
    "flicker": flicker,
    "freeze": freeze,
    "colour_shift": colour_shift,
    "shuffle": shuffle,
    "ghost": ghost,
}
ORDER = ("shuffle", "freeze", "ghost", "texture_drift", "colour_shift", "flicker", "blur", "noise")


def corrupt(frames_BTCHW: Tensor, name: str, strength: float, seed: int = 0) -> Tensor:
    """uint8 clips with one kind of damage of one strength (0 … 1)."""
    g = torch.Generator(frames_BTCHW.device).manual_seed(seed)
    x = frames_BTCHW.float() / 255
    amount = torch.full((len(x),), strength, device=x.device)
    return (CORRUPTIONS[name](x, amount, g).clamp(0, 1) * 255).round().to(torch.uint8)


def corrupt_randomly(x: Tensor, g: Generator | None, clean: float = 0.35, each: float = 0.18) -> tuple[Tensor, Tensor]:
    """Clips float (B, T, 3, H, W) with random damage, and its strengths (B, K), 0 = absent, K in CORRUPTIONS' order.

    ``clean``: share of clips left alone; ``each``: chance of every kind in the others.
    """
    names = list(CORRUPTIONS)
    chosen = (_rand((len(x), len(names)), x, g) < each) & (_rand((len(x), 1), x, g) >= clean)
    strength_BK = chosen * (0.1 + 0.9 * _rand((len(x), len(names)), x, g))
    x = x.clone()
    for name in ORDER:
        rows = chosen[:, names.index(name)].nonzero().squeeze(1)
        if len(rows):
            x[rows] = CORRUPTIONS[name](x[rows], strength_BK[rows, names.index(name)], g)
    return x.clamp(0, 1), strength_BK
