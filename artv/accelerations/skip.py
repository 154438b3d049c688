"""No dynamic noise where the mask copies anyway.

Shape suffixes: B samples, N = branches · B rows of one batched call, C latent channels, H W latent size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from artv.accelerations.base import Denoise
from artv.errors import UserError
from artv.requests import check_share, check_whole

if TYPE_CHECKING:
    from torch import Tensor

    from artv.denoiser import Denoiser
    from artv.networks import Crops, Encoded, Prediction

_SIZES = 4  # sides are multiples of a quarter of the frame, rounded down to cells, so there are 7 at most


@dataclass(frozen=True, kw_only=True)
class SkipCopied:
    """The dynamic network only in a crop around what moves, the rest copied; not at all where nothing moves.

    The mask network, which is small, is evaluated first, on the whole frame. Outside the smallest crop around the
    mask's values below ``threshold`` the reference is copied entirely, so at most 1 − threshold of the dynamic noise is
    lost there; inside, the dynamic network sees latent and references of the crop only, and the whole anchor.

    A sample's branches that keep the references share one crop, since guidance takes differences between them; those
    that drop them copy nothing and are evaluated as usual. A crop depends on its own sample alone, whatever else is
    in the batch. Sizes are multiples of about a quarter of the frame, and crops of one size are one call. Without a
    mask network nothing is left out.

    Args:
        threshold: mask from which on a position counts as copied, > 0; above 1 everything is evaluated.
        margin: latents around the crop, as context.
        largest: share of the frame, 0…1; what needs a larger crop is evaluated on the whole frame, because there
            the missing context costs more than is saved. 0: all or nothing.
    """

    threshold: float = 0.85
    margin: int = 1
    largest: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.threshold, (int, float)) or not self.threshold > 0:
            raise UserError(f"acceleration skip-copied: threshold is {self.threshold}; it must be a number above 0")
        check_share("acceleration skip-copied: largest", self.largest)
        check_whole("acceleration skip-copied: margin", self.margin, low=0)

    def __call__(self, denoiser: Denoiser) -> Denoise:
        def predict(z_NCHW: Tensor, t: int, text_NLD: Tensor, encoded_N: Encoded) -> Prediction:
            return self._predict(denoiser, z_NCHW, t, text_NLD, encoded_N)

        def denoise(x_BCHW: Tensor, sigma: Tensor) -> Tensor:
            return denoiser(x_BCHW, sigma, predict)

        return denoise

    def _predict(self, denoiser: Denoiser, z_NCHW: Tensor, t: int, text_NLD: Tensor, encoded_N: Encoded) -> Prediction:
        from artv.composition import compose
        from artv.networks import Prediction

        model = denoiser.model
        mask_N1HW = model.mask_at(z_NCHW, t, text_NLD, encoded_N) if denoiser.use_mask else None
        if mask_N1HW is None:
            return denoiser.predict(z_NCHW, t, text_NLD, encoded_N)
        below_N1HW = denoiser.used_mask(mask_N1HW, t, encoded_N) < self.threshold
        moving_NHW = moving(below_N1HW, encoded_N.keep_ref_B, len(denoiser.text_BLD))
        cell = 2 ** (len(model.sizes.dynamic.channels) - 1)
        copied_NCHW = denoiser.copied(z_NCHW, t, encoded_N)
        dynamic_NCHW, rows = copied_NCHW.clone(), 0.0
        for crops in crops_around(moving_NHW, margin=self.margin, cell=cell, largest=self.largest):
            crops.paste(dynamic_NCHW, model.dynamic_at(z_NCHW, t, text_NLD, encoded_N, crops).float())
            rows += crops.positions / (z_NCHW.shape[2] * z_NCHW.shape[3])
        eps_NCHW = compose(mask_N1HW, copied_NCHW, dynamic_NCHW)
        return Prediction(eps_NCHW.to(z_NCHW.dtype), mask_N1HW, dynamic_NCHW, rows)


def moving(below_N1HW: Tensor, keep_ref_N: Tensor, B: int) -> Tensor:
    """Where each row needs the dynamic network, bool (N, H, W): where any row of its sample that copies does."""
    below = below_N1HW.unflatten(0, (-1, B)).squeeze(2)
    copies = (keep_ref_N > 0).view(-1, B, 1, 1)
    shared = (below & copies).any(0, keepdim=True)
    return (shared | ~copies).expand_as(below).flatten(0, 1)


def crops_around(moving_NHW: Tensor, *, margin: int, cell: int, largest: float) -> list[Crops]:
    """The smallest crop around each row's True values, widened by ``margin``, on cells of ``cell`` latents.

    Rows are grouped by size, the smallest first; rows without any True value are in no group, and those whose crop
    would be more than ``largest`` of the frame have the whole frame. Waits for a GPU.
    """
    import torch.nn.functional as F

    from artv.networks import Crops

    wider_N1HW = F.max_pool2d(moving_NHW.float().unsqueeze(1), 2 * margin + 1, stride=1, padding=margin)
    cells_Nhw = (F.max_pool2d(wider_N1HW, cell) > 0).squeeze(1).cpu().numpy()
    sides = cells_Nhw.shape[1:]
    steps = [max(side // _SIZES, 1) for side in sides]
    groups: dict[tuple[int, int], dict[int, tuple[int, int]]] = {}
    for row, cells_hw in enumerate(cells_Nhw):
        spans = [cells_hw.any(axis).nonzero()[0].tolist() for axis in (1, 0)]
        if not spans[0]:
            continue
        # as many steps one way as the other, so that there are few sizes
        count = max(math.ceil((span[-1] - span[0] + 1) / step) for span, step in zip(spans, steps, strict=True))
        size = [min(count * step, side) for step, side in zip(steps, sides, strict=True)]
        size = list(sides) if math.prod(size) > largest * math.prod(sides) else size
        top, left = (_start(*one) for one in zip(spans, size, sides, strict=True))
        groups.setdefault((size[0] * cell, size[1] * cell), {})[row] = (top * cell, left * cell)
    return [Crops(tuple(found), tuple(found.values()), size) for size, found in sorted(groups.items())]


def _start(span: list[int], length: int, side: int) -> int:
    """Where a crop of ``length`` begins that holds ``span`` in its middle and stays inside 0…``side``."""
    middle = (span[0] + span[-1] + 1 - length) // 2
    return min(max(middle, 0), side - length)
