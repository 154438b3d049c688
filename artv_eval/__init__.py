"""Evaluation of text-to-video diffusion: plans cells, generates clips, scores them with intervals, reports.

Plugin authors need ``hookimpl`` and ``Component`` from here; the rest is imported when first used.
"""

from importlib import import_module
from typing import Any

from artv_eval.plugins.components import API_VERSION, Component
from artv_eval.plugins.hookspecs import hookimpl

_LAZY = {
    **dict.fromkeys(
        ("AblationContext", "CellSpec", "ClipRequest", "ClipSet", "FailedClip", "GeneratedClip", "Method", "Task"),
        "artv_eval.api",
    ),
    **dict.fromkeys(("Program", "ProgramFault"), "artv_eval.methods.program"),
    "digest_of": "artv_eval.features.base",
    "mean_where_defined": "artv_eval.metrics.base",
    "sha256_of": "artv_eval.features.weights",
}

__all__ = [
    "API_VERSION",
    "AblationContext",
    "CellSpec",
    "ClipRequest",
    "ClipSet",
    "Component",
    "FailedClip",
    "GeneratedClip",
    "Method",
    "Program",
    "ProgramFault",
    "Task",
    "digest_of",
    "hookimpl",
    "mean_where_defined",
    "sha256_of",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'artv_eval' has no attribute {name!r}")
