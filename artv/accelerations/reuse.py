"""Sampling faster than exactly: what one evaluation computes is used for the next ones too. Off by default.

An acceleration is called once a frame with the frame's denoiser and returns the function that the sampler calls in its
place. It keeps no state from one frame to the next. Guidance at some noise levels only
(:class:`artv.guidance.Interval`) and fewer steps with another sampler save evaluations as well.

Shape suffixes: B samples, C latent channels, H W latent size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from artv.errors import UserError, closest

if TYPE_CHECKING:
    from torch import Tensor

    from artv.denoiser import Denoiser

Denoise = Callable[["Tensor", "Tensor"], "Tensor"]


class Acceleration(Protocol):
    """Makes ``denoise(x_BCHW, sigma) -> x0_BCHW`` for one frame."""

    def __call__(self, denoiser: Denoiser) -> Denoise: ...


@dataclass(frozen=True, kw_only=True)
class ReuseGuidance:
    """All guidance branches at every ``every``-th evaluation; between those only the full one.

    What guidance adds to the full prediction changes slowly, so it is taken from the evaluation before. ``every=1``
    reuses nothing.
    """

    every: int = 2

    def __post_init__(self) -> None:
        _check("reuse-guidance", self.every)

    def __call__(self, denoiser: Denoiser) -> Denoise:
        calls, added_BCHW = 0, None

        def denoise(x_BCHW: Tensor, sigma: Tensor) -> Tensor:
            nonlocal calls, added_BCHW
            _, level = denoiser.quantise(sigma)
            if added_BCHW is None or calls % self.every == 0:
                noises = denoiser.noises(x_BCHW, sigma, denoiser.guidance.branches(level))
                added_BCHW = denoiser.guidance.combine(noises, level) - noises[0]
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
        _check("reuse-evaluations", self.every)

    def __call__(self, denoiser: Denoiser) -> Denoise:
        calls, x0_BCHW = 0, None

        def denoise(x_BCHW: Tensor, sigma: Tensor) -> Tensor:
            nonlocal calls, x0_BCHW
            calls += 1
            if x0_BCHW is None or calls <= 3 or self.every == 1 or calls % self.every:
                x0_BCHW = denoiser(x_BCHW, sigma)
            return x0_BCHW

        return denoise


ACCELERATIONS: dict[str, Callable[..., Acceleration]] = {
    "reuse-guidance": ReuseGuidance,
    "reuse-evaluations": ReuseEvaluations,
}


def acceleration(spec: str | Mapping[str, Any] | Acceleration) -> Acceleration:
    """By name (``"reuse-guidance"``), by mapping (``{"name": "reuse-guidance", "every": 3}``), or itself."""
    if callable(spec):
        return spec
    values: dict[str, Any] = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = str(values.pop("name", ""))
    if name not in ACCELERATIONS:
        raise UserError(f"acceleration is {name!r}; {closest(name, ACCELERATIONS)}")
    try:
        return ACCELERATIONS[name](**values)
    except TypeError:
        raise UserError(f"acceleration {name} does not take {', '.join(map(repr, values))}") from None


def _check(name: str, every: int) -> None:
    if not isinstance(every, int) or every < 1:
        raise UserError(f"acceleration {name}: every is {every}; it must be a whole number, at least 1")
