"""DINOv3 (Siméoni et al. 2025) through transformers: as DINOv2, with its class token and preprocessing."""

from pathlib import Path

from artv.ranges import Name, Pixels
from artv_eval.features.clip import Mode
from artv_eval.features.dinov2 import Dinov2Features
from artv_eval.features.hub import pretrained

DEFAULT = "facebook/dinov3-vitb16-pretrain-lvd1689m"


def dinov3(
    model: Name = DEFAULT, size: Pixels = 224, mode: Mode = "squash", normalise: bool = False, device: str = "cpu"
) -> Dinov2Features:
    """Factory of the ``dinov3`` features of pictures. ``model``: a hub id that is in the cache, or a folder.

    ``size``, ``mode`` and ``normalise`` as of :class:`~artv_eval.features.dinov2.Dinov2Features`.
    """
    network, digest = pretrained("DINOv3ViTModel", model)
    name = f"dinov3-{Path(model).name}".replace("dinov3-dinov3", "dinov3")
    return Dinov2Features(network, name, digest, size=size, mode=mode, normalise=normalise, device=device)
