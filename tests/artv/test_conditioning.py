"""Reference frames against a loop, noise on them against its variance, levels against SciPy's quantiles."""

import numpy as np
import pytest
import torch
from scipy import stats

from artv.conditioning import add_noise, constant, half_normal, noise_levels, reference_frames, uniform
from artv.errors import UserError

U = torch.linspace(0, 1, 102, dtype=torch.float64)[1:-1]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_references_are_the_frames_before_and_the_first_one_before_that(size):
    frames = torch.randn(6, 5, 2, 1, 1)
    places = torch.tensor([0, 1, 2, 3, 4, 5])
    found = reference_frames(frames, places, size)
    assert found.shape == (6, size, 2, 1, 1)
    for row, i in enumerate(places.tolist()):
        expected = [frames[row, max(i - size + k, 0)] for k in range(size)]
        assert torch.equal(found[row], torch.stack(expected))


def test_a_rows_references_are_its_own_clips():
    frames = torch.arange(3.0).view(3, 1, 1, 1, 1).expand(3, 4, 1, 1, 1)
    assert reference_frames(frames, torch.tensor([1, 2, 3]), 2)[..., 0, 0, 0].tolist() == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize("level", [0.0, 0.1, 0.6, 1.0])
def test_noise_on_references_keeps_unit_variance(level):
    torch.manual_seed(0)
    refs, noise = torch.randn(2, 8, 2, 4, 16, 16, dtype=torch.float64)
    noised = add_noise(refs, torch.full((8,), level, dtype=torch.float64), noise)
    assert noised.var().item() == pytest.approx(1, abs=0.03)
    correlation = np.corrcoef(refs.flatten(), noised.flatten())[0, 1]
    assert correlation == pytest.approx((1 - level**2) ** 0.5, abs=0.03)


def test_each_sample_has_its_own_level_for_all_its_references():
    refs, noise = torch.ones(3, 2, 1, 1, 1), torch.zeros(3, 2, 1, 1, 1)
    noised = add_noise(refs, torch.tensor([0.0, 0.6, 1.0]), noise)[..., 0, 0, 0]
    torch.testing.assert_close(noised, torch.tensor([[1.0, 1.0], [0.8, 0.8], [0.0, 0.0]]))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.2), (0.25, 0.75)])
def test_uniform_levels_are_the_quantiles(low, high):
    np.testing.assert_allclose(uniform(low, high)(U), stats.uniform.ppf(U, low, high - low), atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 0.01, 0.1, 0.5, 1.0])
def test_half_normal_levels_are_the_quantiles_up_to_one(scale):
    expected = stats.halfnorm.ppf(U.numpy(), scale=scale) if scale else np.zeros(len(U))
    np.testing.assert_allclose(half_normal(scale)(U), np.minimum(expected, 1), atol=1e-9)


@pytest.mark.parametrize("level", [0.0, 0.05, 1.0])
def test_a_constant_level_is_drawn_from_nothing(level):
    assert (constant(level)(U) == level).all() and (uniform(level, level)(U) == level).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spec", ["constant:0.5", "uniform:0.1:0.9", "half_normal:0.2"])
def test_levels_are_like_the_numbers_drawn(spec, dtype):
    u = torch.tensor([0.0, 0.5, 1 - 1e-7], dtype=dtype)
    levels = noise_levels(spec)(u)
    assert levels.dtype == dtype and levels.shape == u.shape
    assert (levels >= 0).all() and (levels <= 1).all() and levels.isfinite().all()
    assert (levels.diff() >= 0).all(), "quantiles rise"


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("uniform", {"name": "uniform", "low": 0.0, "high": 0.2}),
        ("uniform:0.1", {"name": "uniform", "low": 0.1}),
        ("half_normal", {"name": "half_normal", "scale": 0.1}),
        ("constant", {"level": 0.0}),
        ("constant:0.3", {"level": 0.3}),
    ],
)
def test_text_and_mapping_say_the_same(spec, same):
    assert torch.equal(noise_levels(spec)(U), noise_levels(same)(U))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("uniform:0.3:0.1", "low is 0.3; it must be at most high, which is 0.1"),
        ("uniform:-0.1:0.1", "low is -0.1; it must be a number in"),
        ("constant:1.5", "level is 1.5"),
        ("half_normal:nan", "scale is nan"),
        ("uniforn:0:1", "did you mean uniform"),
        ("constant:", "write name:number"),
    ],
)
def test_levels_that_cannot_be(spec, words):
    with pytest.raises(UserError, match=words):
        noise_levels(spec)
