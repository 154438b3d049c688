"""Deterministic samplers of the probability-flow ODE. They take ``noise`` like the others and never draw any."""

from torch import Tensor

from artv.samplers.common import Callback, Denoise, Noise, steps, towards


def sample_euler(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise | None = None, callback: Callback | None = None
) -> Tensor:
    """Euler's method in sigma (Karras et al. 2022, algorithm 1 without its correction). First order."""
    for i, sigma, sigma_next in steps(sigmas):
        x0 = denoise(x, sigma)
        if callback is not None:
            callback(i, sigma, x, x0)
        x = towards(x, x0, sigma, sigma_next)
    return x


def sample_heun(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise | None = None, callback: Callback | None = None
) -> Tensor:
    """Heun's method (Karras et al. 2022, algorithm 1). Second order; two evaluations a step, one for the step to 0."""
    for i, sigma, sigma_next in steps(sigmas):
        x0 = denoise(x, sigma)
        if callback is not None:
            callback(i, sigma, x, x0)
        euler = towards(x, x0, sigma, sigma_next)
        if sigma_next > 0:
            slope = (x - x0) / sigma.to(x.dtype)
            slope_next = (euler - denoise(euler, sigma_next)) / sigma_next.to(x.dtype)
            x = x + (slope + slope_next) * (0.5 * (sigma_next - sigma)).to(x.dtype)
        else:
            x = euler
    return x


def sample_dpmpp_2m(
    denoise: Denoise, x: Tensor, sigmas: Tensor, *, noise: Noise | None = None, callback: Callback | None = None
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): second order from the last two x0, one evaluation a step."""
    previous: tuple[Tensor, Tensor] | None = None
    for i, sigma, sigma_next in steps(sigmas):
        x0 = denoise(x, sigma)
        if callback is not None:
            callback(i, sigma, x, x0)
        ahead = x0
        if previous is not None and sigma_next > 0:
            x0_before, sigma_before = previous
            # extrapolates x0 linearly in log sigma to the middle of the coming step
            weight = 0.5 * (sigma / sigma_next).log() / (sigma_before / sigma).log()
            ahead = x0 + weight.to(x.dtype) * (x0 - x0_before)
        x = towards(x, ahead, sigma, sigma_next)
        previous = x0, sigma
    return x
