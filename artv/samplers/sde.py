"""A stochastic second-order sampler whose two half-steps see one Brownian path."""

from torch import Tensor

from artv.ranges import Amount
from artv.samplers.common import Callback, Denoise, Noise, ancestral_levels, normal_like, steps, towards


def sample_dpmpp_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    eta: Amount = 1.0,
    s_noise: Amount = 1.0,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """DPM-Solver++ for the diffusion SDE (Lu et al. 2022), as k-diffusion's ``sample_dpmpp_sde`` with r = 1/2.

    ``noise`` is drawn for two adjoining intervals a step (to the middle, and on from there); the whole step's noise
    is their sum, so independent draws make one Brownian path in sigma and no stored tree is needed.
    Other arguments as :func:`~artv.samplers.sample_dpmpp_2s_ancestral`.
    """
    noise = noise or normal_like(x)
    for i, sigma, sigma_next in steps(sigmas):
        x0 = denoise(x, sigma)
        if callback is not None:
            callback(i, sigma, x, x0)
        if sigma_next == 0:
            x = towards(x, x0, sigma, sigma_next)
            continue
        middle = (sigma * sigma_next).sqrt()
        first, second = noise(sigma, middle), noise(middle, sigma_next)
        share = (sigma - middle) / (sigma - sigma_next)
        whole = first * share.sqrt().to(x.dtype) + second * (1 - share).sqrt().to(x.dtype)

        down, up = ancestral_levels(sigma, middle, eta)
        x0_middle = denoise(towards(x, x0, sigma, down) + first * (s_noise * up).to(x.dtype), middle)
        down, up = ancestral_levels(sigma, sigma_next, eta)
        x = towards(x, x0_middle, sigma, down) + whole * (s_noise * up).to(x.dtype)
    return x
