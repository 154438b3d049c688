"""Held-out numbers of the networks that judge the shapes world: does each see what its metric claims to see?

Shape suffixes: B clips, T frames, C channels, H W pixels, K corruptions, D features.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from artv.data.shapes import ShapesBatch, ShapesWorld
from artv_eval.corruptions import CORRUPTIONS, corrupt, corrupt_randomly
from artv_eval.features.shapes_networks import CompactTokenizer, ShapesClassifier
from artv_eval.metrics.caption import recall_at_named
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.metrics.mask import roc_auc

FIRST = 5_000_000  # far from the clips that the protocol evaluates on


def _batches(device: str, clips: int, first: int = FIRST, size: int = 128) -> list[ShapesBatch]:
    world = ShapesWorld("test", seed=0)
    return [world.batch(range(first + k, first + min(k + size, clips)), device=device) for k in range(0, clips, size)]


def _named(batch: ShapesBatch, motions: int) -> dict[str, list[list[int]]]:
    rows = list(
        zip(batch.colour.tolist(), batch.shape.tolist(), batch.motion_label.tolist(), strict=True),
    )
    return {
        "colour": [[c for c in colour if c >= 0] for colour, _, _ in rows],
        "shape": [sorted({s for s in shape if s >= 0}) for _, shape, _ in rows],
        "pair": [
            [c * motions + m for c, m in zip(colour, motion, strict=True) if c >= 0] for colour, _, motion in rows
        ],
    }


@torch.no_grad()
def validate_classifier(network: ShapesClassifier, device: str, clips: int) -> dict[str, Any]:
    """Share of named attributes recognised, error of the background, ROC area of each corruption, FVD of each."""
    scores: dict[str, list[Tensor]] = {"colour": [], "shape": [], "pair": [], "error": [], "spread": []}
    damage: list[Tensor] = []
    truth: list[Tensor] = []
    random = torch.Generator(device).manual_seed(1)
    for batch in _batches(device, clips):
        x = batch.frames.float() / 255
        out = network(x)
        named = _named(batch, out["pair"].shape[2])
        for key in ("colour", "shape", "pair"):
            scores[key].append(recall_at_named(out[key].flatten(1).cpu(), named[key]))
        background = (batch.background - 0.5) / 0.15
        scores["error"].append(((out["background"] - background) ** 2).mean(1).cpu())
        scores["spread"].append(((background - background.mean(0)) ** 2).mean(1).cpu())
        damaged, strength = corrupt_randomly(x, random)
        damage.append(network(damaged)["corruption"].cpu())
        truth.append(strength.cpu() > 0)
    mean = {key: float(torch.cat(value).mean()) for key, value in scores.items()}
    area = [roc_auc(a.numpy(), b.numpy()) for a, b in zip(torch.cat(damage).T, torch.cat(truth).T, strict=True)]
    return {
        "clips": clips,
        **{f"{key}_recall": round(mean[key], 4) for key in ("colour", "shape", "pair")},
        "background_r2": round(1 - mean["error"] / mean["spread"], 4),
        "corruption_auc": {k: round(v, 4) for k, v in zip(CORRUPTIONS, area, strict=True)},
        "fvd_of_damage": fvd_of_damage(network, device, clips),
    }


@torch.no_grad()
def fvd_of_damage(network: ShapesClassifier, device: str, clips: int, strength: float = 0.5) -> dict[str, float]:
    """FVD of clips damaged in each way, and of clean ones (``none``), to other clean clips."""

    def features(first: int, name: str | None) -> np.ndarray:
        parts = []
        for batch in _batches(device, clips, first):
            frames = batch.frames if name is None else corrupt(batch.frames, name, strength)
            parts.append(network.features(frames.float() / 255).cpu().numpy())
        return np.concatenate(parts)

    reference = features(FIRST + clips, None)
    return {
        name or "none": round(frechet_from_features(features(FIRST, name), reference), 4)
        for name in (None, *CORRUPTIONS)
    }


@torch.no_grad()
def validate_clip(network: Any, tokenize: CompactTokenizer, device: str, clips: int) -> dict[str, Any]:
    """CLIPSIM of clips with their own captions and with others', and how often the own caption wins among 32."""
    own, other, wins = [], [], []
    for batch in _batches(device, clips, size=32):
        frames = batch.frames[:, ::5].float().to(device) / 255 * 2 - 1
        image = network.encode_image(frames.flatten(0, 1), normalize=True).unflatten(0, frames.shape[:2]).mean(1)
        text = network.encode_text(tokenize(batch.captions).to(device), normalize=True)
        table = (image @ text.T).float().cpu()
        own.append(table.diag())
        other.append((table.sum(1) - table.diag()) / max(len(table) - 1, 1))
        wins.append((table.argmax(1) == torch.arange(len(table))).float())
    return {
        "clips": clips,
        "clipsim_own": round(float(torch.cat(own).mean()), 4),
        "clipsim_other": round(float(torch.cat(other).mean()), 4),
        "own_above_other": round(float((torch.cat(own) > torch.cat(other)).float().mean()), 4),
        "caption_top1_of_32": round(float(torch.cat(wins).mean()), 4),
    }
