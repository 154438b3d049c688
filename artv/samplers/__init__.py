"""Samplers: free functions of ``denoise``, a start and noise levels. Guidance and parametrisation live elsewhere.

All share one signature, in k-diffusion's variance-exploding coordinates (x = z_0 + sigma · noise):

    sampler(denoise, x, sigmas, *, noise=None, callback=None, ...) -> x

``denoise(x, sigma) -> x0`` takes a scalar tensor; ``noise(sigma, sigma_next)`` returns fresh standard normal noise
like ``x``; ``callback(step, sigma, x, x0)`` is called once a step, after its first evaluation.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from artv.requests import SAMPLER_NAMES
from artv.samplers.ancestral import sample_ddim, sample_dpmpp_2s_ancestral, sample_euler_ancestral
from artv.samplers.common import Callback, Denoise, Noise
from artv.samplers.from_diffusers import sample_unipc, sampler_from_diffusers
from artv.samplers.ode import sample_dpmpp_2m, sample_euler, sample_heun
from artv.samplers.sde import sample_dpmpp_sde

__all__ = [
    "SAMPLERS",
    "Callback",
    "Denoise",
    "Noise",
    "count_evaluations",
    "sample_ddim",
    "sample_dpmpp_2m",
    "sample_dpmpp_2s_ancestral",
    "sample_dpmpp_sde",
    "sample_euler",
    "sample_euler_ancestral",
    "sample_heun",
    "sample_unipc",
    "sampler_from_diffusers",
]

SAMPLERS: dict[str, Callable[..., Tensor]] = {name: globals()[f"sample_{name}"] for name in SAMPLER_NAMES}
"""The built-in samplers; the first is the paper's."""


def count_evaluations(sampler: Callable[..., Tensor], sigmas: Tensor) -> int:
    """How often ``sampler`` calls ``denoise`` for these noise levels (99 for the paper's sampler and 50 steps)."""
    calls = 0

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return x / (1 + sigma**2)

    sampler(denoise, torch.zeros(1, 1, 1, 1), sigmas, noise=lambda sigma, sigma_next: torch.zeros(1, 1, 1, 1))
    return calls
