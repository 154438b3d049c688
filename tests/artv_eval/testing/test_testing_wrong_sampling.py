"""The contract tests catch and name what is wrong in parts of sampling: each is right but for one thing."""

import pytest
import torch

from artv.errors import UserError
from artv_eval import testing


def euler(denoise, x, sigmas, *, noise=None, callback=None):
    """Euler's method, right."""
    for i in range(len(sigmas) - 1):
        x0 = denoise(x, sigmas[i])
        if callback:
            callback(i, sigmas[i], x, x0)
        x = x0 + (x - x0) * (sigmas[i + 1] / sigmas[i]).to(x)
    return x


def stops_early(denoise, x, sigmas, *, noise=None, callback=None):
    return euler(denoise, x, sigmas[: len(sigmas) // 2], callback=callback)


def silent(denoise, x, sigmas, *, noise=None, callback=None):
    return euler(denoise, x, sigmas)


def global_noise(denoise, x, sigmas, *, noise=None, callback=None):
    return euler(denoise, x, sigmas, callback=callback) + 0.01 * torch.randn_like(x)


def mixes_the_batch(denoise, x, sigmas, *, noise=None, callback=None):
    x = euler(denoise, x, sigmas, callback=callback)
    return x + 0.05 * x.mean(0, keepdim=True)


def shrinks(denoise, x, sigmas, *, noise=None, callback=None):
    return 1.5 + 0.5 * (euler(denoise, x, sigmas, callback=callback) - 1.5)


def writes_to_sigmas(denoise, x, sigmas, *, noise=None, callback=None):
    x = euler(denoise, x, sigmas, callback=callback)
    sigmas[-1] = 1e-3
    return x


def swallows_settings(denoise, x, sigmas, *, noise=None, callback=None, **options):
    return euler(denoise, x, sigmas, callback=callback)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (stops_early, "times, not 40"),
        (silent, "callback"),
        (global_noise, "draw only from noise"),
        (mixes_the_batch, "mean|alone and in a batch"),
        (shrinks, "deviation"),
        (writes_to_sigmas, "sigmas before and after"),
        (swallows_settings, "accepted in silence"),
    ],
)
def test_wrong_samplers(wrong, message):
    testing.check_sampler(euler)
    with pytest.raises(AssertionError, match=message):
        testing.check_sampler(wrong)


class TextOnly:
    """Right: classifier-free guidance by the text."""

    def __init__(self, *, scale: float = 2.0):
        self.scale = scale

    def branches(self, sigma=None):
        return (frozenset(), frozenset({"text"}))

    def combine(self, predictions, sigma=None):
        full, without = predictions
        return full + self.scale * (full - without)


class Unnormalised(TextOnly):
    def combine(self, predictions, sigma=None):
        return self.scale * predictions[0] + predictions[1]


class IdleBranch(TextOnly):
    def branches(self, sigma=None):
        return (*super().branches(), frozenset({"ref"}))

    def combine(self, predictions, sigma=None):
        return super().combine(predictions[:2])


class NoFullBranch(TextOnly):
    def branches(self, sigma=None):
        return (frozenset({"text"}), frozenset())


class StrangeCondition(TextOnly):
    def branches(self, sigma=None):
        return (frozenset(), frozenset({"caption"}))


class InPlace(TextOnly):
    def combine(self, predictions, sigma=None):
        predictions[0] += self.scale * (predictions[0] - predictions[1])
        return predictions[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Unnormalised, "equal predictions"),
        (IdleBranch, "never matters"),
        (NoFullBranch, "must drop no condition"),
        (StrangeCondition, "something else"),
        (InPlace, "called twice|written to"),
    ],
)
def test_wrong_guidance(wrong, message):
    testing.check_guidance(TextOnly)
    with pytest.raises(AssertionError, match=message):
        testing.check_guidance(wrong)


def hard(*, threshold: float = 0.5):
    """Right: 0 or 1."""
    return lambda mask, sigma: (mask > threshold).to(mask)


def test_wrong_masks():
    testing.check_mask(hard)
    with pytest.raises(AssertionError, match=r"leaves 0\.\.1"):
        testing.check_mask(lambda *, gain=2.0: lambda mask, sigma: mask * gain)
    with pytest.raises(AssertionError, match="shape"):
        testing.check_mask(lambda: lambda mask, sigma: mask[:, 0])
    with pytest.raises(AssertionError, match="alone and in a batch"):
        testing.check_mask(lambda: lambda mask, sigma: mask / mask.max())
    with pytest.raises(AssertionError, match="written to"):
        testing.check_mask(lambda: lambda mask, sigma: mask.clamp_(0.2, 0.8))


def test_wrong_anchors():
    class Remembers:
        def __init__(self):
            self.calls = 0

        def __call__(self, past):
            self.calls += 1
            return past.first * self.calls

    with pytest.raises(AssertionError, match="keep no state"):
        testing.check_anchor(Remembers)
    with pytest.raises(AssertionError, match="shape"):
        testing.check_anchor(lambda: lambda past: past.newest[:, :1])
    with pytest.raises(AssertionError, match=r"written to|keep no state"):
        testing.check_anchor(lambda: lambda past: past.newest.mul_(0.9))
    with pytest.raises(AssertionError, match="alone and in a batch"):
        testing.check_anchor(lambda: lambda past: past.newest - past.newest.mean(0, keepdim=True))


def squared(*, high: float = 0.3):
    """Right: mostly near 0."""
    return lambda u: high * u**2


def test_wrong_noise_levels():
    testing.check_ref_noise(squared)
    cases = {
        r"a number in 0\.\.1": lambda *, high=2.0: lambda u: high * u,
        "not a number": lambda: lambda u: (1 - u).log() / u,
        "a tensor": lambda: lambda u: 0.1,
        r"must be \(B,\)": lambda: lambda u: u[:1],
        "draw nothing": lambda: lambda u: 0.2 * torch.rand_like(u),
        "alone and in a batch": lambda: lambda u: 0.2 * u / u.max(),
        "written to": lambda: lambda u: u.mul_(0.5),
        "accepted in silence": lambda **settings: lambda u: u,
        "must be a function": lambda: 0.1,
    }
    for message, wrong in cases.items():
        with pytest.raises(AssertionError, match=message):
            testing.check_ref_noise(wrong)


class ReuseLatest:
    """Right: every so many evaluations, the x0 of the one before."""

    def __init__(self, *, every: int = 4):
        if every < 1:
            raise UserError(f"every is {every}")
        self.every = every

    def __call__(self, denoiser):
        calls, kept = 0, None

        def denoise(x, sigma):
            nonlocal calls, kept
            calls += 1
            if kept is None or self.every == 1 or calls % self.every:
                kept = denoiser(x, sigma)
            return kept

        return denoise


class RemembersFrames(ReuseLatest):
    """Its latest x0 lives on in the next frame."""

    kept = None

    def __call__(self, denoiser):
        def denoise(x, sigma):
            if self.kept is None or self.kept[0] != float(sigma):
                self.kept = float(sigma), denoiser(x, sigma)
            return self.kept[1]

        return denoise


class NeverExact(ReuseLatest):
    def __call__(self, denoiser):
        return ReuseLatest(every=4)(denoiser)


class TakesAnything(ReuseLatest):
    def __init__(self, *, every: int = 4):
        self.every = max(every, 1)


def around(change):
    """An acceleration that is exact but for ``change(x0, x, denoiser, sigma)``."""
    return lambda: lambda denoiser: lambda x, sigma: change(denoiser(x, sigma), x, denoiser, sigma)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (RemembersFrames, "in turns with another"),
        (NeverExact, "nothing is reused, but"),
        (TakesAnything, "every=0 is accepted"),
        (around(lambda x0, x, denoiser, sigma: x0 + 0.01 * torch.randn_like(x0)), "draw nothing"),
        (around(lambda x0, x, denoiser, sigma: x0 - 0.1 * x0.mean(0, keepdim=True)), "alone and in a batch"),
        (around(lambda x0, x, denoiser, sigma: denoiser(x, sigma)), "rows of the networks"),
        (around(lambda x0, x, denoiser, sigma: x), "away from the exact one"),
        (around(lambda x0, x, denoiser, sigma: x0 / 0), "not finite"),
        (around(lambda x0, x, denoiser, sigma: x0[:, :1]), "the shape"),
        (around(lambda x0, x, denoiser, sigma: x.copy_(x0)), "written to"),
        (lambda **settings: lambda denoiser: denoiser, "accepted in silence"),
    ],
)
def test_wrong_accelerations(wrong, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_acceleration(wrong)


def test_a_right_acceleration():
    testing.check_acceleration(ReuseLatest)
