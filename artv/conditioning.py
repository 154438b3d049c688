"""What a frame is conditioned on: the reference frames, noise on them, and dropped conditions.

A dropped condition has a fixed null, not a learned one: the empty prompt's embedding for text (as SD-2.1 was trained
with), zero adapter features for the references (and then no mask: nothing can be copied), and skipped anchor blocks.
So dropping everything leaves the start, SD-2.1, exactly as it is.

Shape suffixes: B batch, T frames, K reference frames, C latent channels, H W latent size.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from artv.errors import UserError
from artv.named import named
from artv.requests import check_share

Levels = Callable[[Tensor], Tensor]
"""A distribution of noise levels, as its quantiles: numbers (B,) uniform in [0, 1) → levels (B,) in [0, 1].

So whoever calls decides where chance comes from: sampling from each sample's own stream, training from its seed.
"""


@dataclass(frozen=True, kw_only=True)
class ConditionDropout:
    """Chances that training drops a condition, independently, so that guidance has something to compare with."""

    text: float = 0.1
    ref: float = 0.1
    anchor: float = 0.1


def reference_frames(frames_BTCHW: Tensor, i: Tensor, size: int) -> Tensor:
    """The ``size`` frames before frame ``i`` (B,), oldest first; what is before the start repeats frame 0."""
    offsets = torch.arange(-size, 0, device=i.device)
    index = (i[:, None] + offsets).clamp_min(0)
    return frames_BTCHW[torch.arange(len(i), device=i.device)[:, None], index]


def add_noise(refs_BKCHW: Tensor, level_B: Tensor, noise: Tensor) -> Tensor:
    """Variance-preserving noise on references: sqrt(1 − level²)·z + level·noise; level 0 leaves them clean."""
    level = level_B.view(-1, 1, 1, 1, 1)
    return (1 - level**2).sqrt() * refs_BKCHW + level * noise


def constant(level: float = 0.0) -> Levels:
    """Always the same level; 0 leaves the references clean."""
    check_share("noise levels constant: level", level)
    return lambda u_B: torch.full_like(u_B, level)


def uniform(low: float = 0.0, high: float = 0.2) -> Levels:
    """Uniform between ``low`` and ``high``."""
    check_share("noise levels uniform: low", low)
    check_share("noise levels uniform: high", high)
    if low > high:
        raise UserError(f"noise levels uniform: low is {low}; it must be at most high, which is {high}")
    return lambda u_B: low + (high - low) * u_B


def half_normal(scale: float = 0.1) -> Levels:
    """|N(0, scale²)|, cut at 1: mostly clean, now and then noisy."""
    check_share("noise levels half_normal: scale", scale)
    return lambda u_B: (2**0.5 * scale * torch.erfinv(u_B)).clamp_max(1.0)


NOISE_LEVELS: dict[str, Callable[..., Levels]] = {"constant": constant, "uniform": uniform, "half_normal": half_normal}


def noise_levels(spec: str | Mapping[str, Any] | Levels) -> Levels:
    """A distribution by text (``"uniform:0:0.2"``), by mapping (``{"name": "uniform", "high": 0.1}``), or itself."""
    if callable(spec):
        return spec
    given = _mapping(spec) if isinstance(spec, str) and ":" in spec else spec
    return named("noise levels", given, NOISE_LEVELS, default="constant")


def _mapping(text: str) -> dict[str, Any]:
    """``name:number[:number]`` as a mapping; the numbers are the settings in the order of the signature."""
    name, *numbers = text.split(":")
    settings = list(inspect.signature(NOISE_LEVELS[name]).parameters) if name in NOISE_LEVELS else numbers
    try:
        return {"name": name, **dict(zip(settings[: len(numbers)], map(float, numbers), strict=True))}
    except ValueError:
        raise UserError(f"noise levels {text!r}: write name:number[:number], for example uniform:0:0.2") from None
