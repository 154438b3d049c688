"""The extractors of the package by name. Plugins' extractors come through the harness, which passes the object."""

from importlib import import_module
from typing import Any

from artv.errors import UserError, closest

FEATURES = {
    "shapes": "artv_eval.features.shapes:shapes_classifier",
    "shapes-clip": "artv_eval.features.shapes:shapes_clip",
    "i3d": "artv_eval.features.i3d:i3d",
    "i3d-torchscript": "artv_eval.features.i3d:i3d_torchscript",
    "videomae": "artv_eval.features.videomae:videomae",
    "clip": "artv_eval.features.clip:clip",
    "vjepa2": "artv_eval.features.vjepa2:vjepa2",
    "dinov2": "artv_eval.features.dinov2:dinov2",
    "dinov3": "artv_eval.features.dinov3:dinov3",
    "dinov2-frames": "artv_eval.features.of_frames:dinov2_frames",
    "dinov3-frames": "artv_eval.features.of_frames:dinov3_frames",
    "dreamsim": "artv_eval.features.dreamsim:dreamsim",
    "c3d": "artv_eval.features.c3d:c3d",
}


def feature(given: Any, device: str = "cpu") -> Any:
    """``given`` itself if it is an extractor, or the one of that name on ``device``."""
    if not isinstance(given, str):
        return given
    if given not in FEATURES:
        raise UserError(f"feature is {given!r}; {closest(given, FEATURES)}")
    module, _, name = FEATURES[given].partition(":")
    return getattr(import_module(module), name)(device=device)
