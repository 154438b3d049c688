"""Damage of clips: each kind by what it says it does, at its ends by closed forms."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from artv_eval.corruptions import (
    CORRUPTIONS,
    blur,
    colour_shift,
    corrupt,
    corrupt_randomly,
    freeze,
    ghost,
    noise,
    shuffle,
)

T = 9


def clips(B=3, size=16, seed=0):
    """Noise, float in 0 … 1."""
    return torch.rand(B, T, 3, size, size, generator=torch.Generator().manual_seed(seed))


def strength(value, B=3):
    return torch.full((B,), float(value))


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_no_strength_is_no_damage(name):
    x = clips()
    assert torch.allclose(CORRUPTIONS[name](x.clone(), strength(0), stream()), x, atol=1e-6)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_clip_has_a_strength_of_its_own(name):
    x = clips()
    found = CORRUPTIONS[name](x.clone(), torch.tensor([0.0, 1.0, 0.0]), stream())
    assert torch.allclose(found[[0, 2]], x[[0, 2]], atol=1e-6) and not torch.allclose(found[1], x[1], atol=1e-3)


@pytest.mark.parametrize(("value", "stop"), [(1.0, 0), (0.5, 4), (0.25, 6), (0.0, 8)])
def test_the_last_part_of_a_frozen_clip_is_the_frame_before_it(value, stop):
    x = clips()
    frozen = freeze(x, strength(value), None)
    assert torch.equal(frozen[:, : stop + 1], x[:, : stop + 1])
    assert all(torch.equal(frozen[:, t], x[:, stop]) for t in range(stop, T))


def test_ghosts_are_an_exponential_mean_of_the_frames_before():
    x = clips().double()
    keep = 0.4 * 0.5 + 0.5 * 0.5**2
    weights = np.zeros((T, T))  # of frame s in frame t: keep^(t − s) (1 − keep), and keep^t of the first
    for t in range(T):
        weights[t, : t + 1] = keep ** np.arange(t, -1, -1) * np.where(np.arange(t + 1) == 0, 1, 1 - keep)
    wanted = np.einsum("ts,bschw->btchw", weights, x.numpy())
    assert ghost(x, strength(0.5).double(), None).numpy() == pytest.approx(wanted)


def test_shuffled_clips_hold_the_same_frames_and_weak_ones_keep_their_order():
    x = torch.arange(T, dtype=torch.float32)[None, :, None, None, None].expand(3, T, 3, 2, 2)
    found = shuffle(x, strength(1.0), stream())[:, :, 0, 0, 0]
    assert all(sorted(row.tolist()) == list(range(T)) for row in found) and len(set(map(tuple, found.tolist()))) > 1
    moved = (shuffle(x, strength(0.3), stream())[:, :, 0, 0, 0] - torch.arange(T)).abs()
    assert 0 < moved.max() <= 0.3 * T  # two frames change places only where their places overlap


def test_blur_is_a_gaussian_whose_width_grows_with_the_strength():
    x = torch.zeros(8, T, 3, 25, 25)
    x[:, :, :, 12, 12] = 1
    found = blur(x, strength(1.0, 8), stream(1))
    assert found.sum((-1, -2)) == pytest.approx(torch.ones(8, T, 3), abs=1e-4)  # no light is lost
    place = torch.arange(25) - 12.0
    variance = (found.sum(-1) * place**2).sum(-1)[:, -1]  # of the last frame: all of the strength, growing or not
    assert variance.numpy() == pytest.approx(
        np.full((8, 3), 6.0), rel=1e-3
    )  # 6 times the binomial kernel's, which is 1
    growing = (found[:, 0] - x[:, 0]).abs().amax((1, 2, 3)) < 1e-6
    assert 0 < growing.sum() < 8
    assert ndimage.gaussian_filter(np.eye(1, 25, 12)[0], 6**0.5) == pytest.approx(
        found[0, -1, 0].sum(0).numpy(), abs=0.005
    )


def test_noise_has_the_spread_it_says_fresh_in_most_clips_and_still_in_some():
    x = torch.full((40, T, 3, 16, 16), 0.5)
    added = noise(x, strength(0.8, 40), stream()) - x
    assert float(added.std()) == pytest.approx(0.15 * 0.8, rel=0.03) and abs(float(added.mean())) < 0.002
    still = (added - added[:, :1]).abs().amax((1, 2, 3, 4)) < 1e-6
    assert 0.1 < float(still.float().mean()) < 0.5  # 30 % of 40


def test_a_colour_shift_of_grey_is_an_offset_and_a_gain():
    grey = torch.linspace(0, 1, 16)[None, None, None, :, None].expand(6, T, 3, 16, 16)
    found = colour_shift(grey, strength(1.0, 6), stream())[:, -1, :, :, 0]
    fitted = np.polyfit(np.linspace(0, 1, 16), found.reshape(-1, 16).T.numpy(), 1)
    line = fitted[0][:, None] * np.linspace(0, 1, 16) + fitted[1][:, None]
    assert found.reshape(-1, 16).numpy() == pytest.approx(line, abs=1e-5)
    assert (np.abs(fitted[0] - 1) <= 0.6 + 1e-6).all()
    assert np.ptp(fitted[0].reshape(6, 3), axis=1) == pytest.approx(np.zeros(6), abs=1e-5)  # one gain for all colours


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_damaged_clips_are_uint8_and_follow_their_seed(name):
    x = (clips(2) * 255).to(torch.uint8)
    found = [corrupt(x, name, 0.9, seed) for seed in (3, 3, 4)]
    assert found[0].dtype == torch.uint8 and torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2]) == (name in ("freeze", "ghost"))  # which have no chance in them


def test_random_damage_is_as_frequent_as_it_says():
    x = torch.full((600, 2, 3, 4, 4), 0.5)
    damaged, strengths = corrupt_randomly(x, stream(), clean=0.35, each=0.18)
    hit = strengths > 0
    assert float(hit.any(1).float().mean()) == pytest.approx(0.65 * (1 - 0.82**8), abs=0.06)
    assert hit.float().mean(0).numpy() == pytest.approx(np.full(8, 0.65 * 0.18), abs=0.045)
    assert float(strengths[hit].min()) >= 0.1 and float(strengths.max()) <= 1
    clean = ~hit.any(1)
    assert torch.equal(damaged[clean], x[clean]) and torch.equal(damaged, damaged.clamp(0, 1))
    none, zero = corrupt_randomly(x[:50], stream(), clean=1.0)
    assert torch.equal(none, x[:50]) and not zero.any()
