"""Held-out numbers of judges whose skill is known: the perfect one, and one that sees nothing."""

import numpy as np
import pytest
import torch
from scipy import linalg

from artv.data.shapes import ShapesWorld
from artv_eval.corruptions import CORRUPTIONS, corrupt
from artv_eval.feature_training.validation import FIRST, _named, fvd_of_damage, validate_clip

N = 32


@pytest.fixture(scope="module")
def batch():
    return ShapesWorld("test", seed=0).batch(range(FIRST, FIRST + N))


def test_named_labels_are_those_of_the_objects_that_are_there(batch):
    found = _named(batch, motions=9)
    for b in range(N):
        there = [o for o in range(2) if batch.colour[b, o] >= 0]
        assert found["colour"][b] == [int(batch.colour[b, o]) for o in there]
        assert set(found["shape"][b]) == {int(batch.shape[b, o]) for o in there}
        assert [divmod(label, 9) for label in found["pair"][b]] == [
            (int(batch.colour[b, o]), int(batch.motion_label[b, o])) for o in there
        ]
        assert len(set(found["colour"][b])) == len(there)  # two objects never share a colour


class Encoder:
    """Sees which clip a picture is of (by its first frame's pixels), and of captions which is whose."""

    def __init__(self, batch, shift=0):
        self.texts = {caption: i for i, caption in enumerate(batch.captions)}
        self.means = batch.frames[:, ::5].float().flatten(1, 1) / 255 * 2 - 1
        self.shift = shift

    def encode_image(self, x, normalize):
        frames = x.unflatten(0, (-1, self.means.shape[1]))
        index = torch.cdist(frames.flatten(1), self.means.flatten(1)).argmin(1)
        return torch.eye(N)[index].repeat_interleave(self.means.shape[1], 0)

    def encode_text(self, tokens, normalize):
        return torch.eye(N)[(tokens + self.shift) % N]


@pytest.mark.parametrize(("shift", "own", "top"), [(0, 1.0, 1.0), (1, 0.0, 0.0)])
def test_captions_are_told_apart_by_who_knows_them(batch, shift, own, top):
    encoder = Encoder(batch, shift)
    tokenize = lambda captions: torch.tensor([encoder.texts[caption] for caption in captions])  # noqa: E731
    found = validate_clip(encoder, tokenize, "cpu", N)
    assert len(encoder.texts) == N, "captions of these clips are not told apart by anybody"
    assert (found["clipsim_own"], found["caption_top1_of_32"]) == (own, top)
    assert found["clipsim_other"] == pytest.approx((N - N * own) / (N * (N - 1)), abs=1e-4)


class Brightness:
    """Two features: mean light, and how much neighbouring frames differ."""

    def features(self, x):
        return 100 * torch.stack([x.mean((1, 2, 3, 4)), (x[:, 1:] - x[:, :-1]).abs().mean((1, 2, 3, 4))], 1)


def test_damage_is_measured_from_other_real_clips():
    found, n = fvd_of_damage(Brightness(), "cpu", 8, strength=0.7), 8
    assert list(found) == ["none", *CORRUPTIONS]
    world = ShapesWorld("test", seed=0)
    clean, other = (world.batch(range(first, first + n)).frames for first in (FIRST, FIRST + n))
    (mean, spread), gap = moments(other), {}
    for name in ("none", "freeze", "noise"):
        ours, its = moments(clean if name == "none" else corrupt(clean, name, 0.7))
        gap[name] = ((ours - mean) ** 2).sum() + np.trace(its + spread - 2 * linalg.sqrtm(its @ spread).real)
    assert {name: found[name] for name in gap} == pytest.approx(gap, rel=1e-3, abs=2e-4)


def moments(frames):
    rows = Brightness().features(frames.float() / 255).double().numpy()
    return rows.mean(0), np.cov(rows.T)
