"""The mask composes the noise: in closed form, in float64."""

import pytest
import torch

from artv.composition import compose, copied_noise

SHAPE = (2, 3, 4, 4)


@pytest.fixture
def parts():
    rng = torch.Generator().manual_seed(0)
    z, ref, eps = (torch.randn(SHAPE, generator=rng, dtype=torch.float64) for _ in range(3))
    return z, ref, eps, torch.rand(2, 1, 4, 4, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("t_a", [0.999, 0.5, 0.01])
def test_taking_the_copied_noise_away_leaves_the_reference(parts, t_a):
    z, ref, *_ = parts
    a, s = t_a, (1 - t_a**2) ** 0.5
    torch.testing.assert_close((z - s * copied_noise(z, ref, a, s)) / a, ref)


def test_composing_noise_is_mixing_what_is_left(parts):
    """x0 = m·z_ref + (1 − m)·x0_dynamic, the equivalent form of Sec. 3."""
    z, ref, dynamic, mask = parts
    a, s = 0.6, 0.8
    eps = compose(mask, copied_noise(z, ref, a, s), dynamic)
    torch.testing.assert_close((z - s * eps) / a, mask * ref + (1 - mask) * (z - s * dynamic) / a)


def test_a_mask_of_one_copies_and_of_zero_leaves_the_dynamic_noise(parts):
    z, ref, dynamic, mask = parts
    copied = copied_noise(z, ref, 0.6, 0.8)
    torch.testing.assert_close(compose(torch.ones_like(mask), copied, dynamic), copied)
    torch.testing.assert_close(compose(torch.zeros_like(mask), copied, dynamic), dynamic)
