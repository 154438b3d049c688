"""V-JEPA 2 (Assran et al. 2025) through transformers: features of clips, for JEDi, FVD and KVD.

Frames go through the steps of the model's own processor: the shorter side to 256/224 of the crop, by bilinear
interpolation with antialiasing, the centre cropped, ImageNet's mean and deviation. Then, by ``pool``:

- ``attentive``: what the classifier's attentive pooler gives, one vector a clip, as JEDi's authors take it (Luo et al.
  2024; theirs is V-JEPA ViT-H/16 with a probe trained on Something-Something-v2);
- ``mean``: the mean over all tokens of the encoder, of any checkpoint.

Shape suffixes: B clips, T frames, C channels, H W pixels, D features.
"""

from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.errors import UserError
from artv.ranges import Name
from artv_eval.features.base import digest_of, seen_by
from artv_eval.features.hub import pretrained
from artv_eval.features.precision import inference
from artv_eval.features.preprocess import centre_crop
from artv_eval.features.videomae import IMAGENET

DEFAULT = "facebook/vjepa2-vitl-fpc16-256-ssv2"
KINDS = {"attentive": "VJEPA2ForVideoClassification", "mean": "VJEPA2Model"}
UNUSED = "predictor."  # trains the encoder, and describes nothing


class Vjepa2Features:
    """A vector a clip.

    Args:
        network: of the class that ``pool`` needs.
        name, digest: as shown, and of the weights.
        pool: ``attentive`` or ``mean``.
        device: where it runs.
    """

    def __init__(self, network: Any, name: str, digest: str, *, pool: str = "attentive", device: str = "cpu"):
        self.network, self.name, self.device, self.pool = network.to(device).eval(), name, device, pool
        self.digest = digest_of([digest, pool])
        config = network.config
        self.dim, self.size, self.tubelet = config.hidden_size, config.crop_size, config.tubelet_size

    @inference()
    def __call__(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, D) float32 on the CPU. Frames that fill no tubelet at the end are not seen."""
        T = clip_BTCHW.shape[1]
        if self.tubelet > T:
            raise UserError(f"clips of {T} frames; {self.name} takes at least {self.tubelet}")
        x = seen_by(self, clip_BTCHW)
        if self.pool == "mean":
            return self.network(x, skip_predictor=True).last_hidden_state.mean(1).float().cpu()
        return self.network.pooler(self.network.vjepa2(x, skip_predictor=True).last_hidden_state).float().cpu()

    def seen(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, T, 3, H', W'): each frame scaled, cropped and normalised."""
        H, W = clip_BTCHW.shape[-2:]
        side = int(self.size * 256 / 224)
        # torchvision's: the longer side is cut off, not rounded
        size = (side, int(side * W / H)) if H <= W else (int(side * H / W), side)
        # in whole grey levels, as torchvision interpolates them: on the CPU, where torch has that
        resized = F.interpolate(clip_BTCHW.cpu().flatten(0, 1), size=size, mode="bilinear", antialias=True)
        x = centre_crop(resized, self.size).to(self.device).float() / 255
        mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in IMAGENET)
        return ((x - mean) / std).unflatten(0, clip_BTCHW.shape[:2])


def vjepa2(
    model: Name = DEFAULT, pool: Literal["attentive", "mean"] = "attentive", device: str = "cpu"
) -> Vjepa2Features:
    """Factory of the ``vjepa2`` features. ``model``: a hub id that is in the cache, or a folder."""
    if pool not in KINDS:
        raise UserError(f"pool is {pool!r}; it must be attentive (the classifier's) or mean (over all tokens)")
    network, digest = pretrained(KINDS[pool], model, unused=UNUSED)
    name = f"vjepa2-{Path(model).name}".replace("vjepa2-vjepa2", "vjepa2")
    return Vjepa2Features(network, name if pool == "attentive" else f"{name}-mean", digest, pool=pool, device=device)
