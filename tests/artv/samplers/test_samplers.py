"""Samplers against the public k-diffusion functions, against diffusers, and against a closed-form denoiser."""

import itertools

import pytest
import torch
from diffusers import DDIMScheduler

from artv.errors import UserError
from artv.samplers import SAMPLERS, count_evaluations, sample_ddim, sample_dpmpp_2s_ancestral
from artv.schedule import NoiseSchedule

SHAPE = (2, 4, 6, 5)


def bent_denoiser(x, sigma):
    """Any smooth non-linear function will do for equality with another implementation."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1)[0]
    return torch.tanh(x / (1 + sigma**2).sqrt()) * (1 + 0.1 * torch.cos(sigma))


class Draws:
    """The same sequence of noises for both implementations."""

    def __init__(self, seed=0):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, sigma, sigma_next):
        return torch.randn(SHAPE, generator=self.generator, dtype=torch.float64).float()


def start(sigmas):
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))
    return x * (1 + sigmas[0] ** 2).sqrt().float()


@pytest.mark.parametrize("spacing", ["legacy_ddpm", "karras"])
@pytest.mark.parametrize("name", ["dpmpp_2s_ancestral", "dpmpp_2m", "euler", "euler_ancestral", "heun"])
def test_equals_k_diffusion(k_diffusion, name, spacing):
    sigmas = NoiseSchedule().sigmas(12, spacing)
    theirs = getattr(k_diffusion, f"sample_{name}")
    extra = {"noise_sampler": Draws()} if "ancestral" in name else {}
    expected = theirs(bent_denoiser, start(sigmas), sigmas, disable=True, **extra)
    ours = SAMPLERS[name](bent_denoiser, start(sigmas), sigmas, noise=Draws())
    torch.testing.assert_close(ours, expected.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("eta,s_noise", [(0.0, 1.0), (0.6, 1.0), (1.0, 0.9)])
def test_ancestral_arguments_equal_k_diffusion(k_diffusion, eta, s_noise):
    sigmas = NoiseSchedule().sigmas(8)
    expected = k_diffusion.sample_dpmpp_2s_ancestral(
        bent_denoiser, start(sigmas), sigmas, disable=True, eta=eta, s_noise=s_noise, noise_sampler=Draws()
    )
    ours = sample_dpmpp_2s_ancestral(bent_denoiser, start(sigmas), sigmas, eta=eta, s_noise=s_noise, noise=Draws())
    torch.testing.assert_close(ours, expected.float(), atol=1e-5, rtol=1e-5)


def test_sde_equals_k_diffusion_on_one_brownian_path(k_diffusion):
    sigmas = NoiseSchedule().sigmas(8)
    generator, path = torch.Generator().manual_seed(3), {float(sigmas[0]): torch.zeros(SHAPE, dtype=torch.float64)}
    levels = [float(s) for s in sigmas]
    points = sorted(levels[:-1] + [(a * b) ** 0.5 for a, b in itertools.pairwise(levels[:-1])], reverse=True)
    for before, after in itertools.pairwise(points):
        step = torch.randn(SHAPE, generator=generator, dtype=torch.float64) * (before - after) ** 0.5
        path[after] = path[before] + step

    def brownian(sigma, sigma_next):
        at = [path[min(path, key=lambda p: abs(p - float(s)))] for s in (sigma, sigma_next)]
        return ((at[1] - at[0]) / (sigma - sigma_next).sqrt()).float()

    expected = k_diffusion.sample_dpmpp_sde(bent_denoiser, start(sigmas), sigmas, disable=True, noise_sampler=brownian)
    ours = SAMPLERS["dpmpp_sde"](bent_denoiser, start(sigmas), sigmas, noise=brownian)
    torch.testing.assert_close(ours, expected.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_equals_diffusers(eta):
    schedule, steps = NoiseSchedule(), 10
    reference = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="leading",
        prediction_type="sample",
    )
    reference.set_timesteps(steps)
    sigmas = torch.cat([schedule.all_sigmas[reference.timesteps], torch.zeros(1, dtype=torch.float64)])
    x, draws = start(sigmas), Draws()
    z = x / (1 + sigmas[0] ** 2).sqrt().float()
    for t, sigma in zip(reference.timesteps, sigmas[:-1], strict=True):
        x0 = bent_denoiser(z * (1 + sigma**2).sqrt().float(), sigma)
        variance_noise = draws(None, None) if eta and t > 0 else torch.zeros(SHAPE)
        z = reference.step(x0, t, z, eta=eta, variance_noise=variance_noise if eta else None).prev_sample
    ours = sample_ddim(bent_denoiser, x, sigmas, eta=eta, noise=Draws())
    torch.testing.assert_close(ours, z, atol=2e-4, rtol=2e-4)


class Gaussian:
    """Data N(mean, diag(variance)): the exact denoiser, and the exact solution of the probability-flow ODE."""

    mean = torch.tensor([0.3, -1.0, 2.0, 0.0], dtype=torch.float64).view(1, 4, 1, 1)
    variance = torch.tensor([0.04, 0.5, 1.0, 3.0], dtype=torch.float64).view(1, 4, 1, 1)

    def denoise(self, x, sigma):
        return self.mean + self.variance / (self.variance + sigma**2) * (x - self.mean)

    def flow(self, x, sigma, sigma_next):
        ratio = (self.variance + sigma_next**2) / (self.variance + sigma**2)
        return self.mean + ratio.sqrt() * (x - self.mean)


ORDERS = {
    "euler": 1,
    "ddim": 1,
    "heun": 2,
    "dpmpp_2m": 2,
    "dpmpp_2s_ancestral": 2,
    "unipc": 2,
}


@pytest.mark.parametrize("name", ORDERS)
def test_order_of_convergence_on_a_gaussian(name):
    world, errors = Gaussian(), []
    x = 10 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    extra = {"eta": 0.0} if name == "dpmpp_2s_ancestral" else {}
    for steps in (64, 128):
        sigmas = torch.linspace(2.3, -1.6, steps + 1, dtype=torch.float64).exp()
        result = SAMPLERS[name](world.denoise, x, sigmas, **extra)
        errors.append((result - world.flow(x, sigmas[0], sigmas[-1])).abs().max())
    order = (errors[0] / errors[1]).log2()
    assert order > ORDERS[name] - 0.2, f"error {errors[0]:.3g} -> {errors[1]:.3g}"
    if name in ("euler", "ddim"):
        assert order < 1.3


@pytest.mark.parametrize("name", ["dpmpp_2s_ancestral", "dpmpp_sde", "euler_ancestral"])
def test_stochastic_samplers_reach_the_data_distribution(name):
    torch.manual_seed(0)
    world, sigmas = Gaussian(), NoiseSchedule().sigmas(60)
    x = torch.randn(600, 4, 8, 8, dtype=torch.float64) * (1 + sigmas[0] ** 2).sqrt()
    result = SAMPLERS[name](world.denoise, x, sigmas)
    mean, variance = result.mean((0, 2, 3)), result.var((0, 2, 3))
    torch.testing.assert_close(mean, world.mean.flatten(), atol=0.06, rtol=0)
    torch.testing.assert_close(variance, world.variance.flatten(), atol=0.02, rtol=0.08)


def test_evaluations():
    sigmas = NoiseSchedule().sigmas(50)
    counts = {name: count_evaluations(sampler, sigmas) for name, sampler in SAMPLERS.items()}
    twice = {"dpmpp_2s_ancestral", "heun", "dpmpp_sde"}
    assert counts == {name: 99 if name in twice else 50 for name in SAMPLERS}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keeps_dtype_and_reports_steps(name, dtype):
    seen = []
    x = torch.ones(SHAPE, dtype=dtype)
    result = SAMPLERS[name](
        lambda x, sigma: x * 0.5, x, NoiseSchedule().sigmas(5), callback=lambda i, sigma, x, x0: seen.append(i)
    )
    assert result.dtype == dtype and bool(torch.isfinite(result).all())
    assert seen == [0, 1, 2, 3, 4]


def test_one_step_is_one_evaluation_and_returns_x0():
    sigmas = NoiseSchedule().sigmas(1)
    for sampler in SAMPLERS.values():
        x = start(sigmas)
        torch.testing.assert_close(sampler(bent_denoiser, x, sigmas), bent_denoiser(x, sigmas[0]), atol=1e-5, rtol=1e-5)


def test_levels_that_do_not_descend():
    for sigmas in (torch.tensor([1.0]), torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.0, 1.0])):
        with pytest.raises(UserError, match="sigmas"):
            sample_dpmpp_2s_ancestral(bent_denoiser, torch.zeros(SHAPE), sigmas)
