"""VideoMAE features for FVD (content-debiased FVD, Ge et al. 2024), through transformers.

Ge et al. use VideoMAE-v2 giant fine-tuned on Something-Something-v2 and take the normalised mean over all tokens,
before the classifier, of frames stretched to 224 × 224 and scaled to [0, 1]. This takes the same layer and
preprocessing of any VideoMAE classifier that transformers loads; which one is in the digest and in the name.

Shape suffixes: B clips, T frames, C channels, H W pixels, D features.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artv.errors import UserError
from artv.ranges import Name
from artv_eval.features.base import digest_of, seen_by
from artv_eval.features.hub import pretrained
from artv_eval.features.precision import inference
from artv_eval.features.preprocess import resize

DEFAULT = "MCG-NJU/videomae-base-finetuned-ssv2"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class VideoMaeFeatures:
    """Mean of the last tokens after the final norm.

    Args:
        network: ``VideoMAEForVideoClassification``.
        name, digest: as shown, and of the weights.
        normalise: subtract ImageNet's mean and divide by its deviation; cd-fvd does not.
        device: where it runs.
    """

    def __init__(self, network: Any, name: str, digest: str, *, normalise: bool = False, device: str = "cpu"):
        self.network, self.name, self.device = network.to(device).eval(), name, device
        self.normalise, self.digest = normalise, digest_of([digest, str(normalise)])
        self.dim, self.size, self.frames = (
            network.config.hidden_size,
            network.config.image_size,
            network.config.num_frames,
        )

    @inference()
    def __call__(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, D) float32 on the CPU; T must be what the network was made for (16)."""
        T = clip_BTCHW.shape[1]
        if self.frames != T:
            raise UserError(f"clips of {T} frames; {self.name} takes exactly {self.frames}")
        tokens = self.network.videomae(seen_by(self, clip_BTCHW)).last_hidden_state
        norm = self.network.fc_norm
        return (norm(tokens.mean(1)) if norm is not None else tokens[:, 0]).float().cpu()

    def seen(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, T, 3, size, size) in [0, 1], or normalised."""
        x = resize(clip_BTCHW.to(self.device).flatten(0, 1).float(), (self.size, self.size), "bilinear") / 255
        if self.normalise:
            mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in IMAGENET)
            x = (x - mean) / std
        return x.unflatten(0, clip_BTCHW.shape[:2])


def videomae(model: Name = DEFAULT, normalise: bool = False, device: str = "cpu") -> VideoMaeFeatures:
    """Factory of the ``videomae`` features. ``model``: a hub id that is in the cache, or a folder."""
    network, digest = pretrained("VideoMAEForVideoClassification", model)
    return VideoMaeFeatures(network, f"videomae-{Path(model).name}", digest, normalise=normalise, device=device)
