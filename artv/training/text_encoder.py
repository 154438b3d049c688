"""Stage 2 of the shapes preset: a small CLIP (open_clip's own class), of which the text tower is kept.

A caption speaks of motion, which no single picture shows, so the image tower sees a contact sheet: four frames spread
over the clip, two by two.

Shape suffixes: B clips, T frames, H W pixels, L tokens.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from artv.autoencoder import to_unit
from artv.text_encoder import OpenClipTextEncoder
from artv.tokenizer import PromptTokenizer, build_vocabulary
from artv.training import processes
from artv.training.loop import LoopConfig, Outcome, optimise
from artv.training.step import Prepare

if TYPE_CHECKING:
    from open_clip import CLIP  # takes seconds to import, which a training of the model alone does without

WIDTH, LAYERS, HEADS, CONTEXT = 96, 4, 4, 32


def small_clip(vocabulary: list[int], size: int) -> "CLIP":
    """open_clip's CLIP at small size, over contact sheets of ``2 · size`` pixels."""
    from open_clip import CLIP

    vision = {"image_size": 2 * size, "patch_size": 16, "width": 128, "layers": 4, "head_width": 32}
    text = {
        "context_length": CONTEXT,
        "vocab_size": PromptTokenizer(CONTEXT, vocabulary).vocab_size,
        "width": WIDTH,
        "heads": HEADS,
        "layers": LAYERS,
    }
    return CLIP(embed_dim=64, vision_cfg=vision, text_cfg=text)


def contact_sheet(clips_BT3HW: Tensor) -> Tensor:
    """Four frames spread over the clip, first to last, as one picture (B, 3, 2H, 2W)."""
    last = clips_BT3HW.shape[1] - 1
    picked = torch.stack([clips_BT3HW[:, round(last * i / 3)] for i in range(4)], dim=1)
    return rearrange(picked, "b (r c) k h w -> b k (r h) (c w)", r=2)


def train_text_encoder(
    frames_NT3HW: Tensor, captions: list[str], config: LoopConfig, out: Path, prepare: Prepare | None = None
) -> tuple[OpenClipTextEncoder, Outcome]:
    """Contrastive training (Radford et al. 2021) on uint8 clips on the device; returns the averaged text tower."""
    device = frames_NT3HW.device
    vocabulary = build_vocabulary([caption for some in processes.gather(captions) for caption in some])
    clip = small_clip(vocabulary, frames_NT3HW.shape[-1]).to(device)
    tokens_NL = PromptTokenizer(CONTEXT, vocabulary)(captions).to(device)
    labels = torch.arange(config.batch_size, device=device)

    def draw_loss() -> Tensor:
        index = torch.randint(len(frames_NT3HW), (config.batch_size,), device=device)
        images = to_unit(contact_sheet(frames_NT3HW[index]))
        image, text, scale = clip(images, tokens_NL[index])[:3]
        logits = scale.clamp(max=100) * image.float() @ text.float().T
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2

    ema, outcome = optimise(clip, draw_loss, config, out, name="text encoder", device=device, prepare=prepare)
    averaged: nn.Module = ema.model.float()
    return OpenClipTextEncoder.from_clip(averaged, vocabulary), outcome
