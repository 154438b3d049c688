"""What a frame is conditioned on: the reference window, noise on it, and dropped conditions.

A dropped condition has a fixed null, not a learned one: the empty prompt's embedding for text (as SD-2.1 was trained
with), zero adapter features for the references (and then no mask: nothing can be copied), and skipped anchor blocks.
So dropping everything leaves the start, SD-2.1, exactly as it is.

Shape suffixes: B batch, T frames, K reference frames, C latent channels, H W latent size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from artv.errors import UserError, closest

Levels = Callable[[int, torch.device], Tensor]  # (B, device) -> noise levels (B,) in [0, 1]


@dataclass(frozen=True, kw_only=True)
class ConditionDropout:
    """Chances that training drops a condition, independently, so that guidance has something to compare with."""

    text: float = 0.1
    ref: float = 0.1
    anchor: float = 0.1


def window(frames_BTCHW: Tensor, i: Tensor, size: int) -> Tensor:
    """The ``size`` frames before frame ``i`` (B,), oldest first; what is before the start repeats frame 0."""
    offsets = torch.arange(-size, 0, device=i.device)
    index = (i[:, None] + offsets).clamp_min(0)
    return frames_BTCHW[torch.arange(len(i), device=i.device)[:, None], index]


def add_noise(refs_BKCHW: Tensor, level_B: Tensor, noise: Tensor) -> Tensor:
    """Variance-preserving noise on references: sqrt(1 − level²)·z + level·noise; level 0 leaves them clean."""
    level = level_B.view(-1, 1, 1, 1, 1)
    return (1 - level**2).sqrt() * refs_BKCHW + level * noise


def constant(level: float = 0.0) -> Levels:
    """Always the same level."""
    return lambda batch, device: torch.full((batch,), float(level), device=device)


def uniform(low: float = 0.0, high: float = 0.2) -> Levels:
    """Uniform between ``low`` and ``high``."""
    return lambda batch, device: low + (high - low) * torch.rand(batch, device=device)


def half_normal(scale: float = 0.1) -> Levels:
    """|N(0, scale²)|, cut at 1: mostly clean, now and then noisy."""
    return lambda batch, device: (torch.randn(batch, device=device) * scale).abs().clamp_max(1.0)


NOISE_LEVELS: dict[str, Callable[..., Levels]] = {"constant": constant, "uniform": uniform, "half_normal": half_normal}


def noise_levels(spec: str) -> Levels:
    """Parses ``uniform:0:0.2``, ``half_normal:0.1`` or ``constant:0`` into a distribution of noise levels."""
    name, *numbers = spec.split(":")
    if name not in NOISE_LEVELS:
        raise UserError(f"noise level distribution is {name!r}; {closest(name, NOISE_LEVELS)}")
    try:
        values = [float(x) for x in numbers]
        levels = NOISE_LEVELS[name](*values)
    except (TypeError, ValueError):
        raise UserError(f"noise levels {spec!r}: write name:number[:number], for example uniform:0:0.2") from None
    if any(not 0 <= v <= 1 for v in values):
        raise UserError(f"noise levels {spec!r}: each number must be in [0, 1]")
    return levels
