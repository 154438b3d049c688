"""Stage 1 of the shapes preset: the autoencoder, on single frames.

Shape suffixes: N frames, H W pixels.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from artv.autoencoder import shapes_autoencoder, to_unit
from artv.training import processes
from artv.training.loop import LoopConfig, Outcome, optimise
from artv.training.step import Prepare

KL_WEIGHT = 1e-6


def train_autoencoder(
    frames_N3HW: Tensor, config: LoopConfig, out: Path, prepare: Prepare | None = None
) -> tuple[AutoencoderKL, Outcome]:
    """Trains on uint8 frames that lie on the device; returns the averaged model with unit-variance latents."""
    device = frames_N3HW.device
    model = shapes_autoencoder().to(device, memory_format=torch.channels_last)

    def draw_loss() -> Tensor:
        index = torch.randint(len(frames_N3HW), (config.batch_size,), device=device)
        images = to_unit(frames_N3HW[index]).contiguous(memory_format=torch.channels_last)
        posterior = model.encode(images).latent_dist
        latents = posterior.mean + posterior.std * torch.randn_like(posterior.mean)
        error = (model.decode(latents).sample - images).float()
        divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float().mean()
        return error.abs().mean() + 2 * error.square().mean() + KL_WEIGHT * divergence

    ema, outcome = optimise(model, draw_loss, config, out, name="autoencoder", device=device, prepare=prepare)
    averaged: Any = ema.model.float()
    averaged.register_to_config(scaling_factor=_scaling_factor(averaged, frames_N3HW[:2048]))
    return averaged, outcome


@torch.no_grad()
def _scaling_factor(model: AutoencoderKL, frames: Tensor) -> float:
    latents = torch.cat([model.encode(to_unit(part)).latent_dist.mean for part in frames.split(256)])
    return round(1 / processes.mean(latents.std().item()), 6)


@torch.no_grad()
def reconstruction_psnr(model: AutoencoderKL, frames_N3HW: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of reconstructed uint8 frames (range 0…255)."""
    errors = []
    for part in frames_N3HW.split(256):
        images = to_unit(part)
        decoded = model.decode(model.encode(images).latent_dist.mode()).sample.clamp(-1, 1)
        errors.append((decoded - images).square().flatten(1).mean(1))
    return float(10 * torch.log10(4 / torch.cat(errors).mean()))
