"""DreamSim (Fu et al. 2023): pictures as people find them alike, by the authors' package where it is installed.

    uv pip install dreamsim          # MIT; brings peft and timm

One minus the cosine of two of its features is DreamSim's distance. The package downloads what it lacks; here a folder
that lacks something is refused, with the address to fetch it from.

Shape suffixes: N pictures, C channels, H W pixels, D features.
"""

import contextlib
import importlib.util
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artv.errors import UserError, closest
from artv_eval.features.base import digest_of
from artv_eval.features.pillow import pillow_resize
from artv_eval.features.precision import inference
from artv_eval.features.weights import folders, sha256_of

SIZE, AT_ONCE = 224, 64  # pixels of a side; pictures
RELEASE = "https://github.com/ssundaram21/dreamsim/releases/download"
BACKBONES = {
    "ensemble": ("dino_vitb16_pretrain.pth", "open_clip_vitb16_pretrain.pth.tar", "clip_vitb16_pretrain.pth.tar"),
    "dino_vitb16": ("dino_vitb16_pretrain.pth",),
    "dinov2_vitb14": ("dinov2_vitb14_pretrain.pth",),
    "clip_vitb32": ("clip_vitb32_pretrain.pth.tar",),
    "open_clip_vitb32": ("open_clip_vitb32_pretrain.pth.tar",),
}
"""Files beside a kind's adapter, as the package's ``download_weights`` names them."""


class DreamSimFeatures:
    """The embedding of a ``PerceptualModel``, normalised as it does itself.

    Args:
        network: as ``dreamsim.dreamsim`` gives it.
        digest: names the weights and the kind.
        device: where it runs.
    """

    takes_device = True

    def __init__(self, network: Any, name: str, digest: str, device: str = "cpu"):
        self.network, self.name, self.digest, self.device = network, name, digest, device
        self.dim = int(self.images(torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8)).shape[1])

    @inference()
    def images(self, image_NCHW: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) → (N, D) float32 of unit length on the CPU; squashed to 224 × 224 by Pillow's bicubic."""
        return torch.cat([self._some(some) for some in image_NCHW.split(AT_ONCE)])

    def _some(self, image_NCHW: Tensor) -> Tensor:
        x = pillow_resize(image_NCHW.to(self.device), (SIZE, SIZE), "bicubic").float() / 255
        return self.network.embed(x).reshape(len(x), -1).float().cpu()


def dreamsim(kind: str = "ensemble", weights: str | None = None, device: str = "cpu") -> DreamSimFeatures:
    """Factory of the ``dreamsim`` features of pictures.

    Args:
        kind: a ``dreamsim_type`` of the package: ``ensemble``, or a single network such as ``dinov2_vitb14``.
        weights: a folder with the files of the authors' archive; by default ``dreamsim`` where ``doctor`` looks.
        device: where it runs.

    Raises:
        UserError: the package or a file is missing.
    """
    if kind not in BACKBONES:
        raise UserError(f"dreamsim.kind is {kind!r}; {closest(kind, BACKBONES)}")
    if importlib.util.find_spec("dreamsim") is None:
        raise UserError(
            "feature 'dreamsim' needs the package dreamsim, which is not installed: uv pip install dreamsim"
        )
    folder = Path(weights) if weights else folders()[0] / "dreamsim"
    adapter = folder / ("ensemble_lora" if kind == "ensemble" else f"{kind}_single_lora")
    files = [*(folder / name for name in BACKBONES[kind]), *sorted(adapter.glob("*.*"))]
    if missing := [file.name for file in (*files, adapter) if not file.exists()]:
        raise UserError(f"weights of DreamSim's {kind} are not in {folder} ({missing[0]}): unpack its zip of {RELEASE}")
    from dreamsim import dreamsim as load

    with contextlib.redirect_stdout(io.StringIO()):  # it says where it found them
        network, _ = load(pretrained=True, device=device, cache_dir=str(folder), dreamsim_type=kind)
    return DreamSimFeatures(
        network, f"dreamsim-{kind}", digest_of([kind, *(sha256_of(file) for file in files)]), device
    )
