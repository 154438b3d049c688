"""What an acceleration is.

Shape suffixes: B samples, C latent channels, H W latent size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from artv.errors import UserError

if TYPE_CHECKING:  # a command checks its arguments before torch is imported
    from torch import Tensor

    from artv.denoiser import Denoiser

Denoise = Callable[["Tensor", "Tensor"], "Tensor"]


class Acceleration(Protocol):
    """Makes ``denoise(x_BCHW, sigma) -> x0_BCHW`` for one frame."""

    def __call__(self, denoiser: Denoiser) -> Denoise: ...


def check_whole(name: str, setting: str, value: int, low: int = 1) -> None:
    """Refuses a setting that is no whole number of at least ``low``."""
    if not isinstance(value, int) or value < low:
        raise UserError(f"acceleration {name}: {setting} is {value}; it must be a whole number, at least {low}")
