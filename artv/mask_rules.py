"""Rules that change the predicted mask before it composes the noise: how much is copied, and where.

Where the reference frames are dropped there is nothing to copy, whatever a rule says.

Shape suffixes: B rows, H W latent size.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from artv.errors import UserError
from artv.named import named
from artv.requests import check_share


class MaskRule(Protocol):
    """Makes the mask that is used, (B, 1, H, W) in [0, 1] (1 = copy), of the predicted one at a noise level."""

    def __call__(self, mask_B1HW: Tensor, sigma: float) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The mask as the network predicts it (the paper's)."""

    def __call__(self, mask_B1HW: Tensor, sigma: float) -> Tensor:
        return mask_B1HW


@dataclass(frozen=True, kw_only=True)
class Hard:
    """Copies or does not: 1 above ``threshold``, else 0."""

    threshold: float = 0.5

    def __post_init__(self) -> None:
        check_share("mask hard: threshold", self.threshold)

    def __call__(self, mask_B1HW: Tensor, sigma: float) -> Tensor:
        return (mask_B1HW > self.threshold).to(mask_B1HW)


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same share everywhere, whatever the network says: 0 is the dynamic network alone, 1 a still."""

    level: float = 0.5

    def __post_init__(self) -> None:
        check_share("mask constant: level", self.level)

    def __call__(self, mask_B1HW: Tensor, sigma: float) -> Tensor:
        return torch.full_like(mask_B1HW, self.level)


@dataclass(frozen=True, kw_only=True)
class Late:
    """The mask once the noise is at most ``below``, and no copying before: layout is left to the dynamic network."""

    below: float = 5.0

    def __post_init__(self) -> None:
        if not isinstance(self.below, int | float) or not self.below >= 0:
            raise UserError(f"mask late: below is {self.below!r}; it must be a noise level, at least 0")

    def __call__(self, mask_B1HW: Tensor, sigma: float) -> Tensor:
        return mask_B1HW if sigma <= self.below else torch.zeros_like(mask_B1HW)


MASK_RULES: dict[str, Callable[..., MaskRule]] = {
    "learned": Learned,
    "hard": Hard,
    "constant": Constant,
    "late": Late,
}


def mask_rule(rule: str | Mapping[str, Any] | MaskRule) -> MaskRule:
    """A rule by name (``"hard"``), by mapping (``{"name": "hard", "threshold": 0.7}``), or itself."""
    return rule if callable(rule) else named("mask", rule, MASK_RULES, default="learned")
