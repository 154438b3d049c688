"""Weights in eight bits, as the package stores its small models: a quarter of float32 on disk, floats again in memory.

Of each matrix or kernel every output row has a scale, its largest absolute value / 127; vectors stay half precision.
Rounding is not free: it costs models without a mask in long clips (``benchmarks/results/twins-shapes2-h200``).
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from artv.files import regular

FILE = "weights.int8.safetensors"
SCALE = ".scale"


def rounded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """name → int8 (out, …) and name.scale → float16 (out,); vectors as float16."""
    found = {}
    for name, weight in weights.items():
        if weight.ndim < 2 or not weight.is_floating_point():
            found[name] = weight.half() if weight.is_floating_point() else weight
            continue
        rows = weight.float().flatten(1)
        # the scale that will be read again, so that nothing is rounded by another one
        scale = (rows.abs().amax(1) / 127).clamp(min=6e-8).half()
        found[name] = (rows / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8).view(weight.shape)
        found[name + SCALE] = scale
    return found


def restored(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Inverse of :func:`rounded`, up to half a scale: float32."""
    found = {}
    for name, weight in stored.items():
        if weight.dtype == torch.int8:
            scale = stored[name + SCALE].float()
            found[name] = weight.float() * scale.view(-1, *[1] * (weight.ndim - 1))
        elif not name.endswith(SCALE):
            found[name] = weight.float() if weight.is_floating_point() else weight
    return found


def save(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Writes FILE into the folder."""
    from safetensors.torch import save_file

    save_file({name: weight.contiguous() for name, weight in rounded(weights).items()}, folder / FILE)


def load(folder: Path) -> dict[str, Tensor]:
    """The weights in the folder's FILE, float32."""
    from safetensors.torch import load_file

    return restored(load_file(regular(folder / FILE)))
