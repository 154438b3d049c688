"""Sampling faster than exactly: what one evaluation computes serves the next ones too, or what hardly matters is left
out. Off by default.

An acceleration is called once a frame with the frame's denoiser and returns the function that the sampler calls in its
place. It keeps no state from one frame to the next. Guidance at some noise levels only
(:class:`artv.guidance.Interval`) and fewer steps with another sampler save evaluations as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from artv.accelerations.base import Acceleration, Denoise
from artv.accelerations.features import ReuseFeatures
from artv.accelerations.reuse import ReuseEvaluations, ReuseGuidance
from artv.accelerations.skip import SkipCopied
from artv.named import named

__all__ = [
    "ACCELERATIONS",
    "Acceleration",
    "Denoise",
    "ReuseEvaluations",
    "ReuseFeatures",
    "ReuseGuidance",
    "SkipCopied",
    "acceleration",
]

ACCELERATIONS: dict[str, Callable[..., Acceleration]] = {
    "reuse-guidance": ReuseGuidance,
    "reuse-evaluations": ReuseEvaluations,
    "reuse-features": ReuseFeatures,
    "skip-copied": SkipCopied,
}


def acceleration(spec: str | Mapping[str, Any] | Acceleration) -> Acceleration:
    """By name (``"reuse-guidance"``), by mapping (``{"name": "reuse-guidance", "every": 3}``), or itself."""
    return spec if callable(spec) else named("acceleration", spec, ACCELERATIONS)
