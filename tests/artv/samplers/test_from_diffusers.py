"""diffusers' schedulers as samplers, against diffusers' own loop over the same levels, and a known distribution."""

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

from artv.samplers import sample_unipc, sampler_from_diffusers
from artv.schedule import NoiseSchedule

SHAPE = (2, 4, 3, 5)
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "sample"}
KINDS = {
    "unipc": (UniPCMultistepScheduler, {"solver_order": 2}),
    "dpm-solver++": (DPMSolverMultistepScheduler, {"solver_order": 2, "final_sigmas_type": "zero"}),
    "dpm-solver++ 3": (DPMSolverMultistepScheduler, {"solver_order": 3, "final_sigmas_type": "zero"}),
}


def bent(x, sigma):
    """Any smooth function of clip and noise level."""
    sigma = torch.as_tensor(sigma, dtype=torch.float64)
    return torch.tanh(x.double() / (1 + sigma**2).sqrt()).to(x.dtype)


def start(dtype=torch.float64):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_diffusers_own_loop(kind, steps):
    """On z = x / sqrt(1 + sigma²), at the levels that the scheduler itself has chosen."""
    make, options = KINDS[kind]
    scheduler = make(**SCHEDULE, **options)
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.double()
    assert float(sigmas[-1]) == 0
    z = start()
    for t, sigma in zip(scheduler.timesteps, sigmas, strict=False):
        x0 = bent(z * (1 + sigma**2).sqrt(), sigma)
        z = scheduler.step(x0, t, z, return_dict=False)[0].double()
    sampler = sampler_from_diffusers(lambda: make(**SCHEDULE, **options))
    ours = sampler(bent, start() * (1 + sigmas[0] ** 2).sqrt(), sigmas)
    torch.testing.assert_close(ours, z, atol=1e-4, rtol=1e-4)


def test_unipc_by_its_name_is_that_of_order_two():
    sigmas = NoiseSchedule().sigmas(8)
    named = sample_unipc(bent, start() * 14, sigmas)
    made = sampler_from_diffusers(lambda: UniPCMultistepScheduler(prediction_type="sample", solver_order=2))
    assert torch.equal(named, made(bent, start() * 14, sigmas))


@pytest.mark.parametrize("kind", ["unipc", "dpm-solver++"])
def test_where_the_answer_is_known_the_error_falls_as_a_second_order_methods(kind):
    """Data N(0, 1/4): x0 = x / (1 + 4 sigma²), and the flow ends at x · 0.5 / sqrt(0.25 + sigma²)."""
    make, options = KINDS[kind]
    sampler = sampler_from_diffusers(lambda: make(prediction_type="sample", **options))
    schedule, errors = NoiseSchedule(), []
    for steps in (10, 20, 40):
        sigmas = schedule.sigmas(steps, "karras")
        x = start() * (1 + sigmas[0] ** 2).sqrt()
        exact = x * 0.5 / (0.25 + sigmas[0] ** 2).sqrt()
        found = sampler(lambda x, sigma: x * 0.25 / (0.25 + sigma**2), x, sigmas)
        errors.append(float((found - exact).norm()))
    assert np.log2(errors[0] / errors[1]) > 1.5 and np.log2(errors[1] / errors[2]) > 1.4


@pytest.mark.parametrize("steps", [1, 6])
def test_one_evaluation_a_step_each_told_and_no_state_is_left(steps):
    sigmas, told, levels = NoiseSchedule().sigmas(steps), [], []

    def denoise(x, sigma):
        levels.append(float(sigma))
        return bent(x, sigma)

    first = sample_unipc(denoise, start() * 14, sigmas, callback=lambda i, sigma, x, x0: told.append((i, float(sigma))))
    assert levels == sigmas[:-1].tolist() and told == list(enumerate(levels))
    assert torch.equal(sample_unipc(bent, start() * 14, sigmas), first), "schedulers hold state, samplers do not"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_start_stays_and_its_precision_comes_back(dtype):
    x = start(dtype) * 14
    before = x.clone()
    assert sample_unipc(bent, x, NoiseSchedule().sigmas(4)).dtype == dtype and torch.equal(x, before)


def test_samples_do_not_see_each_other():
    sigmas = NoiseSchedule().sigmas(6)
    joint = sample_unipc(bent, start() * 14, sigmas)
    for i in range(SHAPE[0]):
        torch.testing.assert_close(sample_unipc(bent, start()[i : i + 1] * 14, sigmas), joint[i : i + 1])
