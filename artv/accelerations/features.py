"""Deep features taken over from an earlier evaluation.

Shape suffixes: B samples, C latent channels, H W latent size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from artv.accelerations.base import Denoise
from artv.requests import check_whole

if TYPE_CHECKING:
    from torch import Tensor

    from artv.denoiser import Denoiser
    from artv.networks import DeepFeatures


@dataclass(frozen=True, kw_only=True)
class ReuseFeatures:
    """All of the networks at every ``every``-th evaluation; between those only their shallow part.

    What the deep levels of a UNet compute changes slowly from one noise level to the next, so it is taken from the
    latest whole evaluation (DeepCache, Ma et al. 2023). Where guidance changes its branches, the next evaluation is a
    whole one. ``every=1`` reuses nothing.

    Args:
        every: whole evaluations are this far apart.
        blocks: the last so many residual blocks are computed each time, with those whose skip connections they
            take; one more than a level has on its way down is the first level. No more than a network has.
    """

    every: int = 2
    blocks: int = 2

    def __post_init__(self) -> None:
        check_whole("acceleration reuse-features: every", self.every)
        check_whole("acceleration reuse-features: blocks", self.blocks)

    def __call__(self, denoiser: Denoiser) -> Denoise:
        from artv.networks import deep_features

        calls = 0
        kept: dict[object, tuple[DeepFeatures, DeepFeatures]] = {}

        def denoise(x_BCHW: Tensor, sigma: Tensor) -> Tensor:
            nonlocal calls
            if calls % self.every == 0:
                kept.clear()
            calls += 1
            _, level = denoiser.quantise(sigma)
            branches = denoiser.guidance.branches(level)
            deep = kept.setdefault(branches, deep_features(self.blocks))
            return denoiser(x_BCHW, sigma, partial(denoiser.predict, deep=deep))

        return denoise
