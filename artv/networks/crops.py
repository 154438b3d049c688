"""Crops of a frame, for evaluating a network on a part of it.

Shape suffixes: N rows of the whole batch, M crops, C channels, H W latent or feature size, h w crop size.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Crops(NamedTuple):
    """Crops of one size, at most one a row, in latents.

    ``rows``: their rows of the batch, ascending. ``corners``: top and left of each. ``size``: height and width.
    Corners and sizes are multiples of 2**(levels − 1), so that they fall on whole cells of every level of a UNet.
    """

    rows: tuple[int, ...]
    corners: tuple[tuple[int, int], ...]
    size: tuple[int, int]

    @classmethod
    def whole(cls, rows: int, size: tuple[int, int]) -> "Crops":
        """All of each of so many rows."""
        return cls(tuple(range(rows)), ((0, 0),) * rows, size)

    @property
    def positions(self) -> int:
        """How many latents they hold together."""
        return len(self.rows) * self.size[0] * self.size[1]

    def crop(self, x_NCHW: Tensor, scale: int = 1) -> Tensor:
        """(M, C, h / scale, w / scale) of a map that is ``scale`` times smaller than the latents."""
        if self._is_all_of(x_NCHW, scale):
            return x_NCHW
        return torch.stack([x_NCHW[row][view] for row, view in self._views(scale)])

    def paste(self, into_NCHW: Tensor, x_MChw: Tensor) -> None:
        """Writes each crop to its place."""
        for (row, view), x in zip(self._views(1), x_MChw, strict=True):
            into_NCHW[row][view] = x

    def take(self, x_N: Tensor) -> Tensor:
        """The crops' rows of something that is not a map."""
        if self.rows == tuple(range(len(x_N))):
            return x_N
        return torch.stack([x_N[row] for row in self.rows]) if self.rows else x_N[:0]

    def _is_all_of(self, x_NCHW: Tensor, scale: int) -> bool:
        size = tuple(side * scale for side in x_NCHW.shape[2:])
        return self == Crops.whole(len(x_NCHW), size)  # type: ignore[arg-type]

    def _views(self, scale: int) -> list[tuple[int, tuple[slice, slice, slice]]]:
        h, w = (side // scale for side in self.size)
        corners = ((top // scale, left // scale) for top, left in self.corners)
        views = [(slice(None), slice(top, top + h), slice(left, left + w)) for top, left in corners]
        return list(zip(self.rows, views, strict=True))
