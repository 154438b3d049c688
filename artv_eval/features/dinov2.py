"""DINOv2 (Oquab et al. 2024) through transformers: pictures by what is in them, learnt without captions.

The class token after the last norm, of pictures scaled to 224 × 224 by Pillow's bicubic filter and normalised by
ImageNet's mean and deviation: what the Fréchet distance of Stein et al. (2023, dgm-eval) takes. ``mode="shortest"``
crops the centre in place of squashing, as the model's own processor does after scaling to ``size``.

Shape suffixes: N pictures, C channels, H W pixels, D features.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.ranges import Name, Pixels
from artv_eval.features.base import digest_of
from artv_eval.features.clip import Mode, Pictures
from artv_eval.features.hub import pretrained
from artv_eval.features.precision import inference
from artv_eval.features.videomae import IMAGENET

DEFAULT = "facebook/dinov2-base"
AT_ONCE = 64  # pictures


class Dinov2Features:
    """The class token of a ``Dinov2Model``.

    Args:
        network, name, digest: as :func:`artv_eval.features.hub.pretrained` gives them.
        size: pixels of the square that the network sees, a multiple of its patch.
        mode: ``squash`` or ``shortest``, see :class:`~artv_eval.features.clip.Pictures`.
        normalise: scale features to unit length.
        device: where it runs.
    """

    takes_device = True

    def __init__(
        self,
        network: Any,
        name: str,
        digest: str,
        *,
        size: int = 224,
        mode: str = "squash",
        normalise: bool = False,
        device: str = "cpu",
    ):
        self.network, self.name, self.device, self.normalise = network.to(device).eval(), name, device, normalise
        self.pictures = Pictures(size, *IMAGENET, mode)
        self.dim = int(network.config.hidden_size)
        self.digest = digest_of([digest, str((size, mode, normalise))])

    @inference()
    def images(self, image_NCHW: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) → (N, D) float32 on the CPU."""
        parts = []
        for some in image_NCHW.split(AT_ONCE):
            token = self.network(self.pictures(some.to(self.device))).last_hidden_state[:, 0].float()
            parts.append((F.normalize(token, dim=-1) if self.normalise else token).cpu())
        return torch.cat(parts)


def dinov2(
    model: Name = DEFAULT, size: Pixels = 224, mode: Mode = "squash", normalise: bool = False, device: str = "cpu"
) -> Dinov2Features:
    """Factory of the ``dinov2`` features of pictures. ``model``: a hub id that is in the cache, or a folder."""
    network, digest = pretrained("Dinov2Model", model)
    name = f"dinov2-{Path(model).name}".replace("dinov2-dinov2", "dinov2")
    return Dinov2Features(network, name, digest, size=size, mode=mode, normalise=normalise, device=device)
