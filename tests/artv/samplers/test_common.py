"""The one step that samplers are made of, against its differential equation and the DDPM posterior."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from artv.errors import UserError
from artv.samplers.common import ancestral_levels, normal_like, steps, towards


def test_levels_are_walked_in_pairs():
    assert [(i, float(a), float(b)) for i, a, b in steps(torch.tensor([3.0, 1.0, 0.0]))] == [(0, 3, 1), (1, 1, 0)]
    assert all(a.dtype == torch.float64 and a.device.type == "cpu" for _, a, _ in steps(torch.tensor([2.0, 1.0])))


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ([1.0], r"shape \(1,\)"),
        ([[2.0, 1.0]], r"shape \(1, 2\)"),
        ([1.0, 1.0, 0.0], "must descend"),
        ([0.0, 1.0], "from 0 to 1; they must descend"),
        ([1.0, -0.5], "end at 0 or above"),
    ],
)
def test_levels_that_do_not_descend_are_refused_before_any_evaluation(sigmas, message):
    with pytest.raises(UserError, match=message):
        steps(torch.tensor(sigmas))


@pytest.mark.parametrize(("sigma", "following"), [(5.0, 1.0), (1.0, 0.3), (2.0, 0.0)])
def test_a_step_solves_the_equation_where_the_clip_is_known(sigma, following):
    """dx/dσ = (x − x0) / σ."""
    x, x0 = np.array([4.0, -1.0]), np.array([0.5, 2.0])
    end = max(following, 1e-9)
    solved = solve_ivp(lambda s, y: (y - x0) / s, (sigma, end), x, rtol=1e-10, atol=1e-12).y[:, -1]
    ours = towards(*(torch.tensor(v, dtype=torch.float64) for v in (x, x0, sigma, following)))
    np.testing.assert_allclose(ours.numpy(), solved, atol=1e-6)


@pytest.mark.parametrize(("sigma", "following"), [(5.0, 1.0), (1.0, 0.9), (14.6, 0.03)])
def test_full_noise_is_the_ddpm_posteriors(sigma, following):
    """Ho et al. 2020, eq. 7, with ᾱ = 1 / (1 + σ²): the variance of x at the next level, whatever x0 is."""
    now, nxt = 1 / (1 + sigma**2), 1 / (1 + following**2)
    beta = 1 - now / nxt
    posterior = (1 - nxt) / (1 - now) * beta / nxt  # in units of the clip: variance of x / sqrt(ᾱ)
    down, up = ancestral_levels(torch.tensor(sigma, dtype=torch.float64), torch.tensor(following), eta=1.0)
    assert float(up) ** 2 == pytest.approx(posterior, rel=1e-5)
    assert math.hypot(float(down), float(up)) == pytest.approx(following, rel=1e-6)


def test_without_noise_one_goes_straight_down_and_never_adds_more_than_the_next_level():
    sigma, following = torch.tensor(3.0), torch.tensor(1.0)
    assert [float(level) for level in ancestral_levels(sigma, following, eta=0.0)] == [1.0, 0.0]
    down, up = ancestral_levels(sigma, following, eta=50.0)
    assert float(up) == 1.0 and float(down) == 0.0
    assert [float(level) for level in ancestral_levels(sigma, torch.tensor(0.0), eta=1.0)] == [0.0, 0.0]


def test_the_default_noise_is_torchs_own_stream():
    x = torch.zeros(2, 3, dtype=torch.float64)
    torch.manual_seed(4)
    ours = normal_like(x)(torch.tensor(1.0), torch.tensor(0.5))
    torch.manual_seed(4)
    assert torch.equal(ours, torch.randn(2, 3, dtype=torch.float64))
