"""What every sampler is made of: noise levels walked in pairs, and the one linear step between two of them."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from artv.errors import UserError

Denoise = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[Tensor, Tensor], Tensor]
Callback = Callable[[int, Tensor, Tensor, Tensor], None]


def steps(sigmas: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(step, sigma, next sigma), as float64 scalars on the CPU, so that no step waits for an accelerator.

    Raises:
        UserError: fewer than two levels, or levels that do not descend.
    """
    levels = sigmas.detach().to("cpu", torch.float64)
    if levels.ndim != 1 or len(levels) < 2:
        raise UserError(f"sigmas has shape {tuple(levels.shape)}; it must be (steps + 1,) with at least one step")
    if not bool((levels[1:] < levels[:-1]).all()) or levels[-1] < 0:
        raise UserError(f"sigmas run from {levels[0]:g} to {levels[-1]:g}; they must descend and end at 0 or above")
    return ((i, levels[i], levels[i + 1]) for i in range(len(levels) - 1))


def towards(x: Tensor, x0: Tensor, sigma: Tensor, sigma_next: Tensor) -> Tensor:
    """The exact solution of the probability-flow ODE from ``sigma`` to ``sigma_next`` if ``x0`` were constant.

    It is Euler's step in sigma, DDIM's step, and DPM-Solver++'s exponential step, all of which are the same line.
    """
    return x0 + (sigma_next / sigma).to(x.dtype) * (x - x0)


def ancestral_levels(sigma: Tensor, sigma_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(down, up): go down to ``down``, then add noise of standard deviation ``up`` to arrive at ``sigma_next``.

    ``eta`` 0 adds none, 1 is the DDPM posterior's amount (DDIM, Song et al. 2021, eq. 16, in these coordinates).
    """
    up = torch.minimum(sigma_next, eta * (sigma_next / sigma) * (sigma**2 - sigma_next**2).sqrt())
    return (sigma_next**2 - up**2).clamp_min(0).sqrt(), up


def normal_like(x: Tensor) -> Noise:
    """The default noise: torch's global generator. For reproducible samples pass a source of your own."""
    return lambda sigma, sigma_next: torch.randn_like(x)
