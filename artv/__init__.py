"""ART-V: auto-regressive text-to-video diffusion, one frame at a time (Weng et al.).

Names are imported when first used, so that ``import artv`` costs no torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "ArtVModel": "artv.networks",
    "ArtVPipeline": "artv.pipeline",
    "NoiseSchedule": "artv.schedule",
    "OpenClipTextEncoder": "artv.text_encoder",
}

__all__ = ["ArtVModel", "ArtVPipeline", "NoiseSchedule", "OpenClipTextEncoder"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'artv' has no attribute {name!r}")
