"""diffusers' multistep schedulers as samplers: one adapter, and UniPC through it."""

from collections.abc import Callable

import torch
from torch import Tensor

from artv.samplers.common import Callback, Denoise, Noise, steps


def sampler_from_diffusers(make_scheduler: Callable[[], object]) -> Callable[..., Tensor]:
    """A sampler out of a diffusers scheduler that predicts the sample and keeps a table of ``sigmas``.

    That is the family of ``UniPCMultistepScheduler``, ``DPMSolverMultistepScheduler`` and
    ``DEISMultistepScheduler``. They work on z = x / sqrt(1 + sigma²), which is converted here.

    Args:
        make_scheduler: returns a new scheduler with ``prediction_type="sample"``; schedulers hold state, so each
            call of the sampler makes its own.
    """

    def sample(
        denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise | None = None, callback: Callback | None = None
    ) -> Tensor:
        scheduler = _with_levels(make_scheduler(), sigmas)
        z = x / (1 + sigmas[0] ** 2).sqrt().to(x)
        for i, sigma, sigma_next in steps(sigmas):
            x0 = denoise(x, sigma)
            if callback is not None:
                callback(i, sigma, x, x0)
            z = scheduler.step(x0, scheduler.timesteps[i], z, return_dict=False)[0]
            x = z * (1 + sigma_next**2).sqrt().to(x.dtype)
        return x

    return sample


def sample_unipc(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise | None = None, callback: Callback | None = None
) -> Tensor:
    """UniPC of order 2 (Zhao et al. 2023), as diffusers implements it: one evaluation a step."""
    from diffusers import UniPCMultistepScheduler

    sample = sampler_from_diffusers(lambda: UniPCMultistepScheduler(prediction_type="sample", solver_order=2))
    return sample(denoise, x, sigmas, noise=noise, callback=callback)


def _with_levels(scheduler, sigmas: Tensor):
    """Replaces the scheduler's own noise levels; its timesteps become plain step numbers, which it only compares."""
    count = len(sigmas) - 1
    scheduler.set_timesteps(count)
    scheduler.sigmas = sigmas.detach().to("cpu", torch.float64)
    scheduler.timesteps = torch.arange(count)
    scheduler.set_begin_index(0)
    return scheduler
