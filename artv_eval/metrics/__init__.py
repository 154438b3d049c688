"""Metrics: torchmetrics classes usable alone, and evaluators for the harness.

Names are imported when first used, so that ``import artv_eval.metrics`` costs no torch.
"""

from importlib import import_module
from typing import Any

_LAZY = {
    "CaptionAccuracy": "artv_eval.metrics.clip_modules",
    "ClipSim": "artv_eval.metrics.clip_modules",
    "Drift": "artv_eval.metrics.clip_modules",
    "Flicker": "artv_eval.metrics.clip_modules",
    "FrameSimilarity": "artv_eval.metrics.clip_modules",
    "FrechetVideoDistance": "artv_eval.metrics.set_modules",
    "InceptionScore": "artv_eval.metrics.set_modules",
    "KernelVideoDistance": "artv_eval.metrics.set_modules",
    "MaskAuc": "artv_eval.metrics.clip_modules",
    "WarpingError": "artv_eval.metrics.clip_modules",
    "frechet_distance": "artv_eval.metrics.frechet",
}

__all__ = [
    "CaptionAccuracy",
    "ClipSim",
    "Drift",
    "Flicker",
    "FrameSimilarity",
    "FrechetVideoDistance",
    "InceptionScore",
    "KernelVideoDistance",
    "MaskAuc",
    "WarpingError",
    "frechet_distance",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'artv_eval.metrics' has no attribute {name!r}")
