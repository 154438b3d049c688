"""Guidance, or whole evaluations, taken over from the evaluation before.

Shape suffixes: B samples, C latent channels, H W latent size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from artv.accelerations.base import Denoise
from artv.requests import check_whole

if TYPE_CHECKING:
    from torch import Tensor

    from artv.denoiser import Denoiser


@dataclass(frozen=True, kw_only=True)
class ReuseGuidance:
    """All guidance branches at every ``every``-th evaluation; between those only the full one.

    What guidance adds to the full prediction changes slowly, so it is taken from the evaluation before; where guidance
    changes its branches, it is computed anew. ``every=1`` reuses nothing.
    """

    every: int = 2

    def __post_init__(self) -> None:
        check_whole("acceleration reuse-guidance: every", self.every)

    def __call__(self, denoiser: Denoiser) -> Denoise:
        calls, added_BCHW, kept = 0, None, None

        def denoise(x_BCHW: Tensor, sigma: Tensor) -> Tensor:
            nonlocal calls, added_BCHW, kept
            _, level = denoiser.quantise(sigma)
            branches = denoiser.guidance.branches(level)
            if branches != kept or calls % self.every == 0:
                noises = denoiser.noises(x_BCHW, sigma, branches)
                added_BCHW, kept = denoiser.guidance.combine(noises, level) - noises[0], branches
            else:
                noises = denoiser.noises(x_BCHW, sigma, (frozenset(),))
            calls += 1
            return x_BCHW - level * (noises[0] + added_BCHW)

        return denoise


@dataclass(frozen=True, kw_only=True)
class ReuseEvaluations:
    """Leaves out the network at every ``every``-th evaluation, whose x0 is that of the evaluation before.

    The first three evaluations are made, because x0 changes most there. ``every=1`` would leave out all of them, so
    it stands for none.
    """

    every: int = 3

    def __post_init__(self) -> None:
        check_whole("acceleration reuse-evaluations: every", self.every)

    def __call__(self, denoiser: Denoiser) -> Denoise:
        calls, x0_BCHW = 0, None

        def denoise(x_BCHW: Tensor, sigma: Tensor) -> Tensor:
            nonlocal calls, x0_BCHW
            calls += 1
            if x0_BCHW is None or calls <= 3 or self.every == 1 or calls % self.every:
                x0_BCHW = denoiser(x_BCHW, sigma)
            return x0_BCHW

        return denoise
