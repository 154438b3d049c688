"""The schedule against diffusers, k-diffusion and a computation by hand."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from artv.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule()


def by_hand():
    """ᾱ in Python's own arithmetic: betas linear in their square roots."""
    low, high, product, result = math.sqrt(0.00085), math.sqrt(0.0120), 1.0, []
    for i in range(1000):
        product *= 1 - (low + (high - low) * i / 999) ** 2
        result.append(product)
    return np.array(result)


def test_alphas_to_float64_rounding():
    np.testing.assert_allclose(SCHEDULE.alphas_cumprod.numpy(), by_hand(), rtol=1e-12)
    assert SCHEDULE.alphas_cumprod.dtype == torch.float64


def test_alphas_are_diffusers_scaled_linear():
    theirs = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod
    torch.testing.assert_close(SCHEDULE.alphas_cumprod.float(), theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n", [1, 7, 50, 999, 1000])
def test_sigmas_of_the_reference_discretisation(n):
    """generative-models' LegacyDDPM: n timesteps from 999 down, equally spaced, cut to integers, 0 left out."""
    alphas = by_hand()
    timesteps = [int(999 - i * 999 / n) for i in range(n)]
    expected = [math.sqrt((1 - alphas[t]) / alphas[t]) for t in timesteps] + [0.0]
    np.testing.assert_allclose(SCHEDULE.sigmas(n).numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("spacing", ["karras", "exponential"])
def test_other_spacings_equal_k_diffusion(k_diffusion, spacing):
    low, high = float(SCHEDULE.all_sigmas[0]), float(SCHEDULE.all_sigmas[-1])
    theirs = getattr(k_diffusion, f"get_sigmas_{spacing}")(20, low, high)
    torch.testing.assert_close(SCHEDULE.sigmas(20, spacing).float(), theirs, rtol=1e-4, atol=1e-6)


def test_uniform_spacing():
    sigmas = SCHEDULE.sigmas(5, "uniform")
    torch.testing.assert_close(sigmas[:-1].diff(), sigmas[:-1].diff()[:1].expand(4))
    torch.testing.assert_close(sigmas[[0, -2]], SCHEDULE.all_sigmas[[-1, 0]])


@pytest.mark.parametrize("spacing", ["legacy_ddpm", "karras", "exponential", "uniform"])
def test_every_spacing_descends_to_zero(spacing):
    sigmas = SCHEDULE.sigmas(30, spacing)
    assert sigmas.shape == (31,) and sigmas[-1] == 0 and bool((sigmas.diff() < 0).all())


def test_timestep_of_a_noise_level():
    t = torch.tensor([0, 3, 500, 999])
    assert SCHEDULE.sigma_to_t(SCHEDULE.all_sigmas[t]).tolist() == t.tolist()
    torch.testing.assert_close(SCHEDULE.sigma_to_t(SCHEDULE.all_sigmas[t], quantize=False), t.double())
    between = (SCHEDULE.all_sigmas[10] * SCHEDULE.all_sigmas[11]).sqrt()
    torch.testing.assert_close(SCHEDULE.sigma_to_t(between, quantize=False), torch.tensor(10.5, dtype=torch.float64))


def test_signal_and_noise():
    t = torch.tensor([0, 999])
    a, s = SCHEDULE.a_s(t)
    assert a.shape == s.shape == (2, 1, 1, 1)
    torch.testing.assert_close(a**2 + s**2, torch.ones(2, 1, 1, 1))
    torch.testing.assert_close((s / a).flatten().double(), SCHEDULE.all_sigmas[t], rtol=1e-6, atol=0)


def test_mistakes():
    with pytest.raises(ValueError, match="steps is 0; it must be at least 1"):
        SCHEDULE.sigmas(0)
    with pytest.raises(ValueError, match="'karas'; did you mean karras"):
        SCHEDULE.sigmas(5, "karas")
