"""Contracts of what works inside a method: samplers, guidance, masks, anchors, noise levels, first frames.

Shape suffixes: B samples, C channels, H W size. Samplers are judged on Gaussian data, whose denoiser is known exactly:
for x_0 ~ N(m, s²) it is x_0 = (s² x + sigma² m) / (s² + sigma²).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artv_eval.testing.settings import function_of, made, refuses_unknown_settings, same

MEAN, DEVIATION, SIGMA_MAX = 1.5, 0.5, 10.0
SETTINGS: Mapping[str, Any] = {}


def gaussian_denoise(x_BCHW: Tensor, sigma: Tensor) -> Tensor:
    """The exact denoiser of N(1.5, 0.5²)."""
    assert float(sigma) > 0, "denoise was called at sigma 0, where there is nothing to denoise"
    return (DEVIATION**2 * x_BCHW + sigma**2 * MEAN) / (DEVIATION**2 + sigma**2)


class PerSampleNoise:
    """``noise(sigma, sigma_next)`` with a random stream a sample, as the rollout gives it."""

    def __init__(self, seeds: Sequence[int], shape: tuple[int, ...]) -> None:
        self.streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.shape = shape

    def __call__(self, sigma: Tensor | None = None, sigma_next: Tensor | None = None) -> Tensor:
        return torch.stack([torch.randn(self.shape, generator=stream) for stream in self.streams])


def check_sampler(sampler: Callable[..., Tensor], *, steps: int = 40, tolerance: float = 0.12) -> None:
    """A ``samplers`` target: ``(denoise, x, sigmas, *, noise=None, callback=None, **settings) -> x``.

    Checks shape and finiteness, that the exact denoiser's distribution comes out (mean and deviation within
    ``tolerance``), determinism given the noise, independence of the batch and of torch's global random state, that the
    arguments are left alone, one callback a step, and settings.
    """
    sigmas = torch.cat([torch.logspace(1, -2, steps, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)])
    sigmas[0] = SIGMA_MAX
    seeds = range(256)
    start = PerSampleNoise(seeds, (1, 4, 4))() * SIGMA_MAX + MEAN

    def run(rows: slice, **more: Any) -> Tensor:
        noise = PerSampleNoise([seed + 10_000 for seed in seeds[rows]], (1, 4, 4))
        return sampler(gaussian_denoise, start[rows].clone(), sigmas, noise=noise, **more)

    seen: list[int] = []
    x_before, sigmas_before = start[:8].clone(), sigmas.clone()
    whole = run(slice(0, 256), callback=lambda step, sigma, x, x0: seen.append(int(step)))
    assert whole.shape == start.shape, f"the result has shape {tuple(whole.shape)}; it must be x's {tuple(start.shape)}"
    assert bool(torch.isfinite(whole).all()), "the result is not finite"
    assert sorted(set(seen)) == list(range(steps)), f"callback(step, sigma, x, x0) came {len(seen)} times, not {steps}"
    mean, deviation = float(whole.mean()), float(whole.std())
    assert abs(mean - MEAN) < tolerance, f"on Gaussian data of mean {MEAN} the mean is {mean:.3f}"
    assert abs(deviation - DEVIATION) < tolerance, f"on Gaussian data of deviation {DEVIATION} it is {deviation:.3f}"
    torch.manual_seed(1)
    first = run(slice(0, 8))
    torch.manual_seed(2)
    same(first, run(slice(0, 8)), "two calls with the same noise (draw only from noise(sigma, sigma_next))")
    same(run(slice(2, 3)), first[2:3], "a sample alone and in a batch of 8", 1e-4)
    same(start[:8], x_before, "x before and after the call: it must not be written to")
    same(sigmas, sigmas_before, "sigmas before and after the call: they must not be written to")
    given = {"denoise": gaussian_denoise, "x": start[:1].clone(), "sigmas": sigmas}
    refuses_unknown_settings(sampler, given)


def check_guidance(guidance: Any, *, settings: Mapping[str, Any] = SETTINGS) -> None:
    """A ``guidance`` target: factory of an object with ``branches(sigma)`` and ``combine(predictions, sigma)``.

    Checks that the first branch drops nothing, that branches at a noise level are among those for all of them, that
    each dropped branch matters, that equal predictions come back unchanged, batch independence, determinism.
    """
    rule = made(guidance, "guidance", "combine", settings)
    every = tuple(rule.branches(None))
    conditions = frozenset({"ref", "anchor", "text"})
    assert every and every[0] == frozenset(), "the first branch must drop no condition"
    assert all(frozenset(b) <= conditions for b in every), f"a branch drops something else than {sorted(conditions)}"
    assert len(set(every)) == len(every), "a branch stands there twice"
    matters = set()
    for sigma in (14.0, 3.0, 1.0, 0.3, 0.02):
        branches = tuple(rule.branches(sigma))
        assert branches[0] == frozenset(), f"at sigma {sigma} the first branch drops a condition"
        assert set(branches) <= set(every), f"at sigma {sigma} there is a branch that branches(None) does not name"
        predictions = PerSampleNoise(range(len(branches) * 3), (2, 4, 4))().unflatten(0, (len(branches), 3))
        before = predictions.clone()
        combined = rule.combine(list(predictions), sigma)
        assert combined.shape == predictions[0].shape, f"combine gives {tuple(combined.shape)}"
        same(combined, rule.combine(list(predictions), sigma), "combine called twice")
        same(predictions, before, "the predictions before and after combine: they must not be written to")
        same(rule.combine([p[1:2] for p in predictions], sigma), combined[1:2], "a sample alone and in a batch", 1e-4)
        equal = [predictions[0]] * len(branches)
        same(rule.combine(equal, sigma), predictions[0], "combining equal predictions must give that prediction", 1e-3)
        for i, branch in enumerate(branches[1:], start=1):
            changed = [p + 1.0 * (k == i) * torch.arange(4) for k, p in enumerate(predictions)]
            if not torch.equal(rule.combine(changed, sigma), combined):
                matters.add(branch)
    idle = [sorted(branch) for branch in every[1:] if branch not in matters]
    assert not idle, f"the branch without {idle[0]} never matters: leave it out, it costs an evaluation"


def check_mask(mask: Any, *, settings: Mapping[str, Any] = SETTINGS) -> None:
    """A ``masks`` target: factory of ``function(mask (B, 1, h, w) in 0..1, sigma) -> mask`` of the same kind.

    Checks shape and range at every noise level (a float), determinism, batch independence, and that the given mask is
    left alone.
    """
    function = function_of(mask, "masks", settings)
    given = torch.rand((3, 1, 5, 5), generator=torch.Generator().manual_seed(0))
    for sigma in (14.0, 1.0, 0.02):
        before = given.clone()
        result = function(given, sigma)
        assert result.shape == given.shape, f"the mask has shape {tuple(result.shape)}; it must be {tuple(given.shape)}"
        assert bool(((result >= 0) & (result <= 1)).all()), "the mask leaves 0..1"
        same(given, before, "the given mask before and after: it must not be written to")
        same(function(given, sigma), result, "called twice with the same mask")
        same(function(given[1:2], sigma), result[1:2], "a sample alone and in a batch", 1e-5)


def check_anchor(anchor: Any, *, settings: Mapping[str, Any] = SETTINGS, frames: int = 12) -> None:
    """An ``anchors`` target: factory of a strategy ``(past) -> latent (B, C, H, W) or None`` (:mod:`artv.anchors`).

    Checks, over a rollout of two prompts, shape, determinism, batch independence, that a strategy keeps no state
    between videos, and that latents are left alone.
    """
    strategy = function_of(anchor, "anchors", settings)
    video = PerSampleNoise(range(3), (frames, 2, 4, 4))()
    first = _anchors(strategy, video)
    before = video.clone()
    for i, (a, b) in enumerate(zip(first, _anchors(strategy, video), strict=True), start=1):
        assert (a is None) == (b is None), f"frame {i}: an anchor in one video and none in the same video again"
        if a is not None and b is not None:
            assert a.shape == video[:, 0].shape, f"frame {i}: the anchor has shape {tuple(a.shape)}"
            same(a, b, f"frame {i} of the same video again (keep no state in the strategy)")
    same(video, before, "the latents before and after: they must not be written to")
    for i, (a, b) in enumerate(zip(_anchors(strategy, video[1:2]), first, strict=True), start=1):
        if a is not None and b is not None:
            same(a, b[1:2], f"frame {i} of a sample alone and in a batch", 1e-5)


def _anchors(strategy: Callable[..., Tensor | None], video_BTCHW: Tensor) -> list[Tensor | None]:
    from artv.anchors import Past

    half, current, found = video_BTCHW.shape[1] // 2, None, []
    for index in range(1, video_BTCHW.shape[1]):
        past = Past(
            index=index,
            prompt=index // half,
            first=video_BTCHW[:, 0],
            newest=video_BTCHW[:, index - 1],
            prompt_anchor=video_BTCHW[:, 0 if index < half else half - 1],
            current=current,
        )
        current = strategy(past)
        found.append(current)
    return found


def check_ref_noise(ref_noise: Any, *, settings: Mapping[str, Any] = SETTINGS) -> None:
    """A ``noise_levels`` target: factory of ``function(numbers (B,) uniform in 0..1) -> noise levels (B,) in 0..1``.

    Checks shape, device and range, that levels depend on a sample's own number and nothing else (not on the batch, nor
    on torch's global random state), and that the numbers are left alone.
    """
    levels = function_of(ref_noise, "noise_levels", settings)
    numbers = torch.rand(64, generator=torch.Generator().manual_seed(0))
    numbers[0], numbers[1] = 0.0, 1 - 2**-24  # the ends of what torch.rand gives
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        given = numbers.clone().to(device)
        torch.manual_seed(1)
        result = levels(given)
        assert isinstance(result, Tensor), f"the levels are a {type(result).__name__}; they must be a tensor"
        assert result.shape == given.shape, f"the levels have shape {tuple(result.shape)}; they must be (B,), B = 64"
        assert result.device == given.device, f"the levels are on {result.device}, the numbers on {given.device}"
        assert bool(((result >= 0) & (result <= 1)).all()), "a level is not a number in 0..1"
        same(given, numbers, "the numbers before and after: they must not be written to")
        torch.manual_seed(2)
        same(levels(given), result, "two calls with the same numbers (draw nothing: the numbers are the chance)")
        same(levels(given[2:3]), result[2:3], "a sample alone and in a batch", 1e-6)


def check_first_frame(
    first_frame: Any, *, settings: Mapping[str, Any] = SETTINGS, height: int = 64, width: int = 64
) -> None:
    """A ``first_frames`` target: factory of ``function(prompts, height, width, seeds) -> uint8 (B, H, W, 3)``."""
    draw = function_of(first_frame, "first_frames", settings)
    prompts, seeds = ["a red circle", "a blue square", "a red circle"], [1, 2, 3]
    frames = draw(prompts, height, width, seeds)
    assert isinstance(frames, np.ndarray) and frames.dtype == np.uint8, "the frames must be a uint8 numpy array"
    wanted = (3, height, width, 3)
    assert frames.shape == wanted, f"the frames have shape {frames.shape}; they must be {wanted}"
    same(draw(prompts, height, width, seeds), frames, "two calls with the same seeds")
    same(draw(prompts[1:2], height, width, seeds[1:2]), frames[1:2], "a prompt alone and in a batch", 2.0)
