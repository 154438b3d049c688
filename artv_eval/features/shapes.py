"""Features of the shapes world with the weights of the package: ``shapes`` for FVD and captions, ``shapes-clip``.

    features = shapes_classifier()           # uint8 (B, T, 3, H, W) -> float32 (B, 64)
    scores = features.attributes(clips)      # recognises colours, shapes and (colour, motion) pairs

Weights are folders with ``model.safetensors`` (fp16) and ``config.json``, made by
``artv_eval.feature_training.shapes``.

Shape suffixes: B clips, T frames, C channels, H W pixels, D features, N pictures.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import artv_eval
from artv.errors import UserError
from artv.files import read_bytes, read_object, regular, write_text_atomically
from artv_eval.features.base import digest_of, seen_by
from artv_eval.features.clip import beyond
from artv_eval.features.precision import inference
from artv_eval.features.running import Parts
from artv_eval.features.shapes_networks import (
    ClassifierConfig,
    ClipConfig,
    CompactTokenizer,
    ShapesClassifier,
    build_clip,
)

ASSETS = Path(artv_eval.__file__).parent / "assets"
SIZE = 64
REMAKE = "python -m artv_eval.feature_training.shapes --component {component} --out {folder}"


class ShapesFeatures:
    """The classifier as feature extractor (64 numbers a clip) and as recogniser of attributes.

    Args:
        network: with its weights.
        digest: names the weights.
        device: where it runs.
    """

    name, world, in_parts = "shapes", "shapes", True

    def __init__(self, network: ShapesClassifier, digest: str, device: str | torch.device = "cpu"):
        self.network, self.digest, self.device = network.to(device).eval(), digest, device
        self.dim = network.config.dim

    @inference()
    def __call__(self, clip: Tensor | Parts) -> Tensor:
        """(B, 64) float32 on the CPU, of mean 0 and variance 1 over real clips."""
        return self.network.features(self._checked(clip)).cpu()

    @inference()
    def attributes(self, clip: Tensor | Parts) -> dict[str, Tensor]:
        """Scores ``colour`` (B, 8), ``shape`` (B, 6), ``pair`` (B, 8, 9), and the other heads of the network."""
        return {k: v.cpu() for k, v in self.network(self._checked(clip)).items()}

    def seen(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, T, 3, 64, 64) in [0, 1]."""
        return to_unit_size(clip_BTCHW.to(self.device), SIZE)

    def _checked(self, clip_BTCHW: Tensor | Parts) -> Tensor | Parts:
        if isinstance(clip_BTCHW, Parts):
            return clip_BTCHW
        if clip_BTCHW.ndim != 5 or clip_BTCHW.shape[1] < 2 or clip_BTCHW.shape[2] != 3:
            raise UserError(
                f"clips of shape {tuple(clip_BTCHW.shape)}; shapes features need (B, T, 3, H, W) with T at least 2"
            )
        return seen_by(self, clip_BTCHW)


class ShapesClip:
    """The small CLIP: pictures and sentences of the shapes world in one space."""

    name, world, takes_device = "shapes-clip", "shapes", True

    def __init__(self, network: Any, config: ClipConfig, digest: str, device: str | torch.device = "cpu"):
        self.network, self.config, self.digest, self.device = network.to(device).eval(), config, digest, device
        self.dim = config.embed_dim
        self.tokenize = CompactTokenizer(config.bpe_ids, config.context)

    @inference()
    def images(self, image_NCHW: Tensor) -> Tensor:
        """(N, D) float32 of unit length on the CPU."""
        x = to_unit_size(image_NCHW.to(self.device)[:, None], self.config.size)[:, 0]
        return self.network.encode_image(x * 2 - 1, normalize=True).float().cpu()

    @inference()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """(B, D) float32 of unit length on the CPU."""
        tokens = self.tokenize(texts).to(self.device)
        return self.network.encode_text(tokens, normalize=True).float().cpu()

    def unread(self, text: str) -> str | None:
        """Words outside the vocabulary, or what is cut off."""
        if unknown := self.tokenize.unknown(text):
            return f"has words that it does not know ({', '.join(unknown)})"
        return beyond(len(self.tokenize.bpe.encode(text)) + 2, self.tokenize.context)


def shapes_classifier(weights: str | None = None, device: str = "cpu") -> ShapesFeatures:
    """Factory of the ``shapes`` features; ``weights``: a folder, by default the one in the package."""
    folder = Path(weights) if weights else ASSETS / "shapes_classifier"
    config, state, digest = load_weights(folder, "classifier")
    network = ShapesClassifier(ClassifierConfig(**{**config, "widths": tuple(config["widths"])}))
    _fill(network, state, folder)
    return ShapesFeatures(network.fuse(), digest, device)


def shapes_clip(weights: str | None = None, device: str = "cpu") -> ShapesClip:
    """Factory of the ``shapes-clip`` encoder; ``weights``: a folder, by default the one in the package."""
    folder = Path(weights) if weights else ASSETS / "shapes_clip"
    values, state, digest = load_weights(folder, "clip")
    config = ClipConfig(**{**values, "bpe_ids": tuple(values["bpe_ids"])})
    network = build_clip(config)
    _fill(network, state, folder)
    return ShapesClip(network, config, digest, device)


def to_unit_size(clip_BTCHW: Tensor, size: int) -> Tensor:
    """uint8 (B, T, 3, H, W) → float in [0, 1] of size × size pixels; antialiased bilinear where the size differs."""
    x = clip_BTCHW.float() / 255
    if x.shape[-2:] == (size, size):
        return x
    resized = F.interpolate(x.flatten(0, 1), size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return resized.unflatten(0, x.shape[:2])


def save_weights(
    network: nn.Module, folder: Path, component: str, config: dict[str, Any], record: dict[str, Any]
) -> None:
    """Writes ``model.safetensors`` (floating point as fp16) and ``config.json`` with how the weights were made."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        k: v.detach().half().cpu().contiguous() if v.is_floating_point() else v.detach().cpu().contiguous()
        for k, v in network.state_dict().items()
        if not k.endswith("num_batches_tracked")
    }
    save_file(state, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)
    text = json.dumps({"component": component, "config": config, "training": record}, indent=1)
    write_text_atomically(folder / "config.json", text + "\n")


def load_weights(folder: Path, component: str) -> tuple[dict[str, Any], dict[str, Tensor], str]:
    """Network configuration, float32 state dict and digest of a folder; a UserError when it is absent or another's."""
    weights, config = folder / "model.safetensors", folder / "config.json"
    if not weights.is_file() or not config.is_file():
        raise UserError(
            f"no weights of the shapes {component} in {folder} (model.safetensors, config.json); "
            f"make them with: {REMAKE.format(component=component, folder=folder)}"
        )
    values = read_object(config)
    if values.get("component") != component or not isinstance(values.get("config"), dict):
        raise UserError(
            f"{folder} holds {values.get('component')!r} weights; this needs those of the shapes {component}"
        )
    state = {k: v.float() if v.is_floating_point() else v for k, v in load_file(regular(weights)).items()}
    return values["config"], state, digest_of([read_bytes(weights), json.dumps(values["config"], sort_keys=True)])


def _fill(network: nn.Module, state: dict[str, Tensor], folder: Path) -> None:
    missing, unexpected = network.load_state_dict(state, strict=False)
    wrong = [k for k in missing if not k.endswith("num_batches_tracked")] + list(unexpected)
    if wrong:
        raise UserError(
            f"weights in {folder} do not fit this version of the network: {wrong[0]} and {len(wrong) - 1} more"
        )
