"""Metrics: torchmetrics classes usable alone, and evaluators for the harness.

Names are imported when first used, so that ``import artv_eval.metrics`` costs no torch.
"""

from importlib import import_module
from typing import Any

_LAZY = {
    "ClipSim": "artv_eval.metrics.clipsim",
    "FrechetVideoDistance": "artv_eval.metrics.fvd",
    "frechet_distance": "artv_eval.metrics.frechet",
}

__all__ = ["ClipSim", "FrechetVideoDistance", "frechet_distance"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'artv_eval.metrics' has no attribute {name!r}")
