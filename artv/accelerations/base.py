"""What an acceleration is.

Shape suffixes: B samples, C latent channels, H W latent size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a command checks its arguments before torch is imported
    from torch import Tensor

    from artv.denoiser import Denoiser

Denoise = Callable[["Tensor", "Tensor"], "Tensor"]


class Acceleration(Protocol):
    """Makes ``denoise(x_BCHW, sigma) -> x0_BCHW`` for one frame."""

    def __call__(self, denoiser: Denoiser) -> Denoise: ...
