"""Classifier-free guidance over three conditions: reference frames, anchor frame, text.

A guidance object says which branches it needs (which conditions each one drops) and how their predictions combine.
The denoiser evaluates all branches in one batch; samplers and the rollout never hear of guidance.

Every scale counts what is *added* to the full prediction, as in Eq. 1 of the supplementary: 0 is the plain conditional
model everywhere. A scale of 6.5 here is 7.5 in code that interpolates from the unconditional prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

from artv.errors import UserError
from artv.named import named
from artv.requests import check_share

if TYPE_CHECKING:  # a command checks its arguments before torch is imported
    from torch import Tensor

Branch = frozenset[str]
FULL: Branch = frozenset()
CONDITIONS = ("ref", "anchor", "text")


class Guidance(Protocol):
    """Which branches to evaluate at a noise level, and how to combine them."""

    def branches(self, sigma: float | None = None) -> tuple[Branch, ...]:
        """The conditions that each branch drops; the first drops none. Branches that cannot matter are left out.

        ``sigma=None`` asks for every branch that some noise level may need.
        """
        ...

    def combine(self, predictions: Sequence[Tensor], sigma: float | None = None) -> Tensor:
        """One prediction from those of ``branches(sigma)``, in that order, each (B, C, H, W)."""
        ...


def three_term(
    full: Tensor,
    without_ref: Tensor,
    without_anchor: Tensor,
    without_text: Tensor,
    *,
    ref: float,
    anchor: float,
    text: float,
) -> Tensor:
    """Equation 1 of the supplementary: three one-sided differences added to the full prediction.

    The tensors are noise predictions (or x0 predictions: the formula is affine with weights that sum to 1) of one
    shape; the scales are >= 0, in the paper 0.25, 0.25 and 6.5.
    """
    return full + ref * (full - without_ref) + anchor * (full - without_anchor) + text * (full - without_text)


@dataclass(frozen=True, kw_only=True)
class ThreeTerm:
    """Equation 1 of the supplementary, with its scales as defaults. Branches of zero scale are not evaluated."""

    ref: float = 0.25
    anchor: float = 0.25
    text: float = 6.5

    def __post_init__(self) -> None:
        _check_scales(self)

    def branches(self, sigma: float | None = None) -> tuple[Branch, ...]:
        return (FULL, *(frozenset([name]) for name in CONDITIONS if getattr(self, name)))

    def combine(self, predictions: Sequence[Tensor], sigma: float | None = None) -> Tensor:
        full, *dropped = predictions
        rest = iter(dropped)
        # a branch left out has zero scale, so any tensor may stand in its place
        ref, anchor, text = (next(rest) if getattr(self, name) else full for name in CONDITIONS)
        return three_term(full, ref, anchor, text, ref=self.ref, anchor=self.anchor, text=self.text)


@dataclass(frozen=True, kw_only=True)
class Joint:
    """One unconditional branch that drops everything: classifier-free guidance (Ho & Salimans 2022, eq. 6)."""

    scale: float = 6.5

    def __post_init__(self) -> None:
        _check_scales(self)

    def branches(self, sigma: float | None = None) -> tuple[Branch, ...]:
        return (FULL, frozenset(CONDITIONS)) if self.scale else (FULL,)

    def combine(self, predictions: Sequence[Tensor], sigma: float | None = None) -> Tensor:
        full, *dropped = predictions
        return full + self.scale * (full - dropped[0]) if dropped else full


@dataclass(frozen=True, kw_only=True)
class Nested:
    """Conditions added one inside the other, text inside anchor inside reference (InstructPix2Pix, 2023, eq. 3).

    The chain is nothing -> ref -> ref + anchor -> ref + anchor + text; each scale adds the difference that its own
    condition makes, given those before it. A scale s here is s + 1 in that paper.
    """

    ref: float = 0.25
    anchor: float = 0.25
    text: float = 6.5

    def __post_init__(self) -> None:
        _check_scales(self)

    def _terms(self) -> list[tuple[float, Branch, Branch]]:
        chain = (FULL, frozenset(["text"]), frozenset(["text", "anchor"]), frozenset(CONDITIONS))
        scales = (self.text, self.anchor, self.ref)
        return [(s, chain[i], chain[i + 1]) for i, s in enumerate(scales) if s]

    def branches(self, sigma: float | None = None) -> tuple[Branch, ...]:
        needed = [FULL, *(branch for _, *pair in self._terms() for branch in pair)]
        return tuple(dict.fromkeys(needed))

    def combine(self, predictions: Sequence[Tensor], sigma: float | None = None) -> Tensor:
        at = dict(zip(self.branches(), predictions, strict=True))
        result = at[FULL]
        for scale, with_condition, without in self._terms():
            result = result + scale * (at[with_condition] - at[without])
        return result


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Guidance only at noise levels in (low, high] (Kynkäänniemi et al. 2024); elsewhere one branch is evaluated."""

    inner: Guidance
    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high:
            raise UserError(f"guidance interval is ({self.low}, {self.high}]; it must satisfy 0 <= low < high")

    def _active(self, sigma: float | None) -> bool:
        return sigma is None or self.low < float(sigma) <= self.high

    def branches(self, sigma: float | None = None) -> tuple[Branch, ...]:
        return self.inner.branches(sigma) if self._active(sigma) else (FULL,)

    def combine(self, predictions: Sequence[Tensor], sigma: float | None = None) -> Tensor:
        return self.inner.combine(predictions, sigma) if self._active(sigma) else predictions[0]


@dataclass(frozen=True, kw_only=True)
class Rescaled:
    """The inner guidance pulled back to the full prediction's standard deviation (Lin et al. 2023, eq. 15–16).

    ``phi`` 0 leaves the inner guidance as it is, 1 restores each sample's standard deviation entirely; the paper
    suggests 0.7.
    """

    inner: Guidance
    phi: float = 0.7

    def __post_init__(self) -> None:
        check_share("guidance phi", self.phi)

    def branches(self, sigma: float | None = None) -> tuple[Branch, ...]:
        return self.inner.branches(sigma)

    def combine(self, predictions: Sequence[Tensor], sigma: float | None = None) -> Tensor:
        guided, full = self.inner.combine(predictions, sigma), predictions[0]
        if len(predictions) == 1 or not self.phi:
            return guided
        axes = tuple(range(1, full.ndim))
        factor = full.std(axes, keepdim=True) / guided.std(axes, keepdim=True).clamp_min(1e-12)
        return guided * (self.phi * factor + 1 - self.phi)


def interval(
    *, low: float = 0.0, high: float = math.inf, ref: float = 0.25, anchor: float = 0.25, text: float = 6.5
) -> Interval:
    """:class:`Interval` around three-term guidance with these scales."""
    return Interval(inner=ThreeTerm(ref=ref, anchor=anchor, text=text), low=low, high=high)


def rescaled(*, phi: float = 0.7, ref: float = 0.25, anchor: float = 0.25, text: float = 6.5) -> Rescaled:
    """:class:`Rescaled` around three-term guidance with these scales."""
    return Rescaled(inner=ThreeTerm(ref=ref, anchor=anchor, text=text), phi=phi)


def none() -> ThreeTerm:
    """The plain conditional model: every scale is zero."""
    return ThreeTerm(ref=0.0, anchor=0.0, text=0.0)


GUIDANCE: dict[str, Callable[..., Guidance]] = {
    "three_term": ThreeTerm,
    "joint": Joint,
    "nested": Nested,
    "interval": interval,
    "rescaled": rescaled,
    "none": none,
}
"""Factories by name; ``interval`` and ``rescaled`` take the scales of the three-term guidance that they wrap."""


def parse(guidance: Guidance | Mapping[str, Any] | str | None) -> Guidance:
    """Guidance from what a user writes; scales left out keep the paper's values.

    Args:
        guidance: ``None`` (the paper's), ``"ref=0.25,anchor=0.25,text=6.5"``, ``"joint:scale=4"``, ``"none"``, a
            mapping of three-term scales (``{"text": 7}``; key ``name`` for another formula), or a guidance object.

    Raises:
        UserError: an unknown name, or a scale that is not a number >= 0.
    """
    if guidance is None:
        return ThreeTerm()
    if isinstance(guidance, str):
        guidance = _mapping(guidance)
    if isinstance(guidance, Mapping):
        values = {key: value if key == "name" else _number(key, value) for key, value in guidance.items()}
        return named("guidance", values, GUIDANCE, default="three_term")
    if hasattr(guidance, "branches") and hasattr(guidance, "combine"):
        return guidance
    raise UserError(f"guidance is {guidance!r}; give text such as 'ref=0.25,anchor=0.25,text=6.5', or a mapping")


def _mapping(text: str) -> dict[str, Any]:
    """``[name:]key=number,…`` as a mapping."""
    name, colon, settings = text.strip().partition(":")
    if not colon:
        name, settings = ("three_term", name) if "=" in name or not name else (name, "")
    pairs = [[word.strip() for word in item.partition("=")] for item in settings.split(",") if item.strip()]
    keys = [key for key, _, _ in pairs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f"guidance gives {twice[0]} twice: {text!r}; give it once")
    return {"name": name.strip(), **{key: value for key, _, value in pairs}}


def _number(key: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"guidance {key} is {value!r}; it must be a number, such as {key}=0.25") from None


def _check_scales(guidance: Any) -> None:
    for field in fields(guidance):
        value = getattr(guidance, field.name)
        if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
            raise UserError(f"guidance scale {field.name} is {value}; it must be a number >= 0 (0 turns it off)")
