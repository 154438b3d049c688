"""Between frames and latents. The autoencoder is diffusers' AutoencoderKL (Table 3), at either preset's size.

Shape suffixes: N frames, C latent channels, H W pixels, h w latent size (H / 8 for ``paper``, H / 4 for ``shapes``).
"""

import torch
from diffusers import AutoencoderKL
from torch import Tensor


def paper_autoencoder() -> AutoencoderKL:
    """Table 3: z 4, ch 128, mult 1-2-4-4, 2 residual blocks (random weights)."""
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=2,
        sample_size=768,
        scaling_factor=0.18215,
    )


def shapes_autoencoder() -> AutoencoderKL:
    """A small one: 64×64 pixels in 16×16×4. No attention, so that a moving object does not change far latents."""
    return AutoencoderKL(
        block_out_channels=(32, 48, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=16,
        sample_size=64,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )


AUTOENCODERS = {"paper": paper_autoencoder, "shapes": shapes_autoencoder}


def downscale(autoencoder: AutoencoderKL) -> int:
    """Pixels a side of one latent cell."""
    return 2 ** (len(autoencoder.config.block_out_channels) - 1)


def to_unit(frames: Tensor) -> Tensor:
    """uint8 to float32 in [−1, 1]."""
    return frames.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Floats in [−1, 1] (clipped) to uint8."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def encode_frames(autoencoder: AutoencoderKL, frames_N3HW: Tensor) -> Tensor:
    """Scaled latents (N, C, h, w) of uint8 frames: the posterior's mode, so that equal frames have equal latents."""
    images = to_unit(frames_N3HW).to(autoencoder.dtype)
    return autoencoder.encode(images).latent_dist.mode() * autoencoder.config.scaling_factor


def decode_latents(autoencoder: AutoencoderKL, latents_NChw: Tensor) -> Tensor:
    """uint8 frames (N, 3, H, W) of scaled latents."""
    latents = (latents_NChw / autoencoder.config.scaling_factor).to(autoencoder.dtype)
    return to_uint8(autoencoder.decode(latents).sample)
