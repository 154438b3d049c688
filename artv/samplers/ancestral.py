"""Ancestral samplers: each step goes below its target and adds noise back up to it."""

from torch import Tensor

from artv.ranges import Amount
from artv.samplers.common import Callback, Denoise, Noise, ancestral_levels, normal_like, steps, towards


def sample_dpmpp_2s_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    eta: Amount = 1.0,
    s_noise: Amount = 1.0,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """DPM-Solver++(2S) (Lu et al. 2022, algorithm 1) with ancestral noise: the paper's sampler.

    Two evaluations a step, the second at the geometric mean of the two levels; the step to 0 needs only one, so
    50 steps are 99 evaluations, as in the reference implementation.

    Args:
        denoise: ``denoise(x, sigma) -> x0``; ``sigma`` is a float64 scalar tensor on the CPU.
        x: the start, standard deviation ``sqrt(1 + sigmas[0]**2)``; any shape and floating dtype.
        sigmas: (steps + 1,) descending, usually ending in 0.
        eta: 0 for none of the ancestral noise, 1 for all.
        s_noise: factor on the added noise.
        noise: ``noise(sigma, sigma_next)``, standard normal like ``x``. Default: torch's global generator, which is
            reproducible only if the caller seeds it.
        callback: ``callback(step, sigma, x, x0)`` after the first evaluation of each step.

    Returns:
        The sample at the last level, like ``x``.
    """
    noise = noise or normal_like(x)
    for i, sigma, sigma_next in steps(sigmas):
        x0 = denoise(x, sigma)
        if callback is not None:
            callback(i, sigma, x, x0)
        down, up = ancestral_levels(sigma, sigma_next, eta)
        if down > 0:
            middle = (sigma * down).sqrt()
            x0 = denoise(towards(x, x0, sigma, middle), middle)
        x = towards(x, x0, sigma, down)
        if up > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * up).to(x.dtype)
    return x


def sample_euler_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    eta: Amount = 1.0,
    s_noise: Amount = 1.0,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Euler steps with ancestral noise (k-diffusion); arguments as :func:`sample_dpmpp_2s_ancestral`."""
    noise = noise or normal_like(x)
    for i, sigma, sigma_next in steps(sigmas):
        x0 = denoise(x, sigma)
        if callback is not None:
            callback(i, sigma, x, x0)
        down, up = ancestral_levels(sigma, sigma_next, eta)
        x = towards(x, x0, sigma, down)
        if up > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * up).to(x.dtype)
    return x


def sample_ddim(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    eta: Amount = 0.0,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """DDIM (Song et al. 2021, eq. 12), deterministic by default; ``eta=1`` is DDPM's ancestral sampling.

    In these coordinates its update is Euler's with ancestral noise, so that is what it calls.
    """
    return sample_euler_ancestral(denoise, x, sigmas, eta=eta, noise=noise, callback=callback)
