"""Drift: how an auto-regressive clip changes that should not. Curves over the frame index and their slopes.

The headline, for a static camera: per clip, the slope over the frame index of the median over pixels of
|frame_i − frame_0|, in grey levels a frame. The median does not see a moving object that covers less than half of the
picture. The other curves (sharpness, contrast, saturation) are relative to frame 0, so that clips average well.

Shape suffixes: B clips, T frames, C channels, H W pixels, n clips.
"""

from functools import reduce

import numpy as np
import torch
from torch import Tensor

from artv_eval.api import ClipSet
from artv_eval.metrics.base import MeanEvaluator, slope
from artv_eval.metrics.device_pictures import LUMA, MEASURES, median_of_pictures
from artv_eval.metrics.views import Together, by_frame


def change_from_first(frames_BTCHW: Tensor, first_B1CHW: Tensor | None = None) -> Tensor:
    """(B, T) float32: median over pixels of |frame_i − frame_0| (mean over channels), grey levels 0 … 255.

    ``first``: frame 0 where ``frames`` begin later.
    """
    return median_difference(frames_BTCHW, frames_BTCHW[:, :1] if first_B1CHW is None else first_B1CHW)


def median_difference(x_BTCHW: Tensor, y_BTCHW: Tensor) -> Tensor:
    """(B, T) float32: median over pixels of |x − y| (mean over channels); of an even number the middle two's mean."""
    if not x_BTCHW.dtype == y_BTCHW.dtype == torch.uint8:
        # quantile, not median: the latter takes the lower of the two middle values
        return (x_BTCHW.float() - y_BTCHW.float()).abs().mean(2).flatten(2).quantile(0.5, dim=-1)
    apart_BTCHW = torch.maximum(x_BTCHW, y_BTCHW) - torch.minimum(x_BTCHW, y_BTCHW)
    if apart_BTCHW.device.type != "cpu":
        return median_of_pictures(apart_BTCHW.flatten(0, 1)).unflatten(0, apart_BTCHW.shape[:2])
    total_BTHW = apart_BTCHW[:, :, 0].short()
    for channel in apart_BTCHW.unbind(2)[1:]:
        total_BTHW += channel
    C = x_BTCHW.shape[2]
    return _median_by_counting(total_BTHW.flatten(2).flatten(0, 1), 255 * C).unflatten(0, total_BTHW.shape[:2]) / C


def _median_by_counting(whole_NP: Tensor, most: int) -> Tensor:
    """(N,) float32: medians of whole numbers 0 … ``most``; several times as fast as by sorting, and the same."""
    N, P = whole_NP.shape
    place = torch.arange(N, device=whole_NP.device)[:, None] * (most + 1)
    count = torch.bincount((whole_NP + place).flatten(), minlength=N * (most + 1))
    middle = torch.tensor([(P - 1) // 2 + 1, P // 2 + 1], device=whole_NP.device).repeat(N, 1)  # counted from 1
    return torch.searchsorted(count.view(N, -1).cumsum(1), middle).float().mean(1)


def sharpness(frames_BTCHW: Tensor) -> Tensor:
    """(B, T): variance over pixels of the Laplacian of the luma (Pech-Pacheco et al. 2000), grey levels squared."""
    luma = _luma(frames_BTCHW)
    inner = luma[..., 1:-1, 1:-1]
    around = luma[..., :-2, 1:-1] + luma[..., 2:, 1:-1] + luma[..., 1:-1, :-2] + luma[..., 1:-1, 2:]
    return _variance(around - 4 * inner)


def contrast(frames_BTCHW: Tensor) -> Tensor:
    """(B, T): standard deviation over pixels of the luma, grey levels."""
    return _variance(_luma(frames_BTCHW)).sqrt()


def saturation(frames_BTCHW: Tensor) -> Tensor:
    """(B, T): mean over pixels of (max − min over channels), grey levels."""
    channels = frames_BTCHW.unbind(2)
    return (reduce(torch.maximum, channels) - reduce(torch.minimum, channels)).float().mean((-1, -2))


def _luma(frames_BTCHW: Tensor) -> Tensor:
    red, green, blue = frames_BTCHW.unbind(2)
    return (red.float() * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _variance(x_BTHW: Tensor) -> Tensor:
    """(B, T): over pixels, divided by their number less one; torch's own takes ten times as long on a CPU."""
    x = x_BTHW.flatten(2)
    return (x - x.mean(2, keepdim=True)).square().sum(2) / (x.shape[2] - 1)


CURVES = {"change": change_from_first, "sharpness": sharpness, "contrast": contrast, "saturation": saturation}


def relative_curve(quantity: str, clips_BTCHW: Tensor, first_B1CHW: Tensor | None = None) -> np.ndarray:
    """(B, T): the curve; relative to frame 0, except for ``change``, which is 0 there. ``first``: as above."""
    if quantity == "change":
        return change_from_first(clips_BTCHW, first_B1CHW).cpu().numpy()
    curve_BT = CURVES[quantity](clips_BTCHW).cpu().numpy()
    start = curve_BT[:, :1] if first_B1CHW is None else CURVES[quantity](first_B1CHW).cpu().numpy()
    return curve_BT / np.maximum(start, 1e-3)


class DriftEvaluator(MeanEvaluator):
    """Slope of a curve over the frame index, mean over clips; rows are the curves (n, T).

    Args:
        quantity: ``change`` (the headline: grey levels a frame, 0 = the background stays) or ``sharpness``,
            ``contrast``, ``saturation`` (change a frame relative to frame 0: −0.01 loses one hundredth a frame).
    """

    in_parts, least_frames = True, 2

    def __init__(self, quantity: str = "change", *, name: str | None = None, device: str = "cpu"):
        self.quantity, self.device, self.on_device = quantity, device, MEASURES[quantity]
        self.name = name or ("drift" if quantity == "change" else f"{quantity}_drift")
        self.digest = f"drift-{quantity}-1"
        # a steady clip has slope 0; sharper or more saturated than at the start is as wrong as less
        self.higher_is_better = False if quantity == "change" else None

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, T): the curve of every clip."""
        where = self.device if self.quantity == "change" else "cpu"  # the others are not the same to the bit there

        def some(view: Together) -> Tensor:
            first = view.opening_BTCHW.to(where) if view.start else None
            return torch.from_numpy(relative_curve(self.quantity, view.frames_BTCHW.to(where), first))

        return by_frame(clips, some, device=where)

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): slope a frame."""
        return slope(rows)

    def curve(self, rows: np.ndarray) -> np.ndarray:
        """(T,): mean over clips."""
        return rows.mean(0)
