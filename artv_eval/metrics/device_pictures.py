"""The quantities of ``picture_curves.py`` on a device: whole numbers are counted there, the rest is float64.

Values are those of the processor's path to the bit, but for sharpness, contrast and saturation, which it reckons in
float32 (they agree to 1e-5 of their value), and loops, where distances that lie within 1e-6 of a threshold may fall
to either side.

Shape suffixes: T frames of a clip, t frames at a time, H W pixels, C colour channels, N pictures, P pixels, D numbers.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from artv_eval.metrics.device_views import LUMA as THOUSANDTHS
from artv_eval.metrics.device_views import DeviceView, FrameMeasure

THUMBNAIL = 16  # pixels of a side
LOOP_GAP = 8  # frames that a loop has at least
LUMA = tuple(part / 1000 for part in THOUSANDTHS)
SAME, APART = 1.5, 4.0  # grey levels between thumbnails of equal frames, and of frames that differ


def _over(x: Tensor, count: int) -> Tensor:
    """x / count to the last bit: by a number of Python a GPU multiplies with its reciprocal."""
    return x / x.new_full((), count)


def _means(x_tCHW: Tensor) -> Tensor:
    """(t, C) float64: over pixels."""
    return _over(x_tCHW.flatten(2).sum(2).double(), x_tCHW.shape[2] * x_tCHW.shape[3])


def medians(whole_NP: Tensor, most: int) -> Tensor:
    """(N,) float32: medians of whole numbers 0 … ``most``; of an even number the middle two's mean.

    By bisection, counting how many numbers are at most the middle: nothing is sorted, and nobody waits.
    """
    P = whole_NP.shape[1]
    low = torch.zeros(len(whole_NP), dtype=whole_NP.dtype, device=whole_NP.device)
    high = torch.full_like(low, most)
    for _ in range(most.bit_length()):
        middle = low + (high - low) // 2
        enough = _at_most(whole_NP, middle) >= (P - 1) // 2 + 1
        low, high = torch.where(enough, low, middle + 1), torch.where(enough, middle, high)
    next_N = torch.where(whole_NP > high[:, None], whole_NP, most).amin(1)
    upper = torch.where(_at_most(whole_NP, high) >= P // 2 + 1, high, next_N)
    return (high.float() + upper.float()) / 2


def _at_most(whole_NP: Tensor, most_N: Tensor) -> Tensor:
    return (whole_NP <= most_N[:, None]).sum(1)


def median_of_pictures(apart_tCHW: Tensor) -> Tensor:
    """(t,) float32: median over pixels of the mean over channels; to the bit as on a processor (drift.py)."""
    C = apart_tCHW.shape[1]
    total = apart_tCHW[:, 0].short()
    for channel in apart_tCHW.unbind(1)[1:]:
        total += channel
    return _over(medians(total.flatten(1), 255 * C), C)


def _variance(whole_tHW: Tensor, unit: float) -> Tensor:
    """(t,) float64: over pixels, divided by their number less one, of float32 whole numbers of so small units."""
    x = whole_tHW.flatten(1)
    squares = torch.linalg.vector_norm(x, dim=1, dtype=torch.float64).square()
    return (squares - x.sum(1, dtype=torch.float64).square() / x.shape[1]).clamp(min=0) / (x.shape[1] - 1) * unit**2


def sharpness(view: DeviceView) -> Tensor:
    """(t,): :func:`artv_eval.metrics.drift.sharpness`."""
    luma = view.luma
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1]
    around += luma[:, 1:-1, :-2]
    around += luma[:, 1:-1, 2:]
    return _variance(around.sub_(luma[:, 1:-1, 1:-1], alpha=4), 1e-3)


def contrast(view: DeviceView) -> Tensor:
    """(t,): :func:`artv_eval.metrics.drift.contrast`."""
    return _variance(view.luma, 1e-3).sqrt()


def saturation(view: DeviceView) -> Tensor:
    """(t,): :func:`artv_eval.metrics.drift.saturation`."""
    channels = view.frames.unbind(1)
    span = reduce(torch.maximum, channels) - reduce(torch.minimum, channels)
    return _means(span[:, None])[:, 0]


def thumbnails(view: DeviceView) -> Tensor:
    """(t, D) float32: :func:`artv_eval.metrics.picture_curves.thumbnails`."""
    cells, wide = _blocks(view.frames)
    cells, tall = _blocks(cells.transpose(2, 3))
    mean_tCWH = cells.double() / (wide[:, None] * tall)
    return mean_tCWH.permute(0, 2, 3, 1).flatten(1).float()


def _blocks(x: Tensor) -> tuple[Tensor, Tensor]:
    """int32 sums of 16 stretches of the last axis, as equal as whole pixels allow, and how long each is."""
    i, length = torch.arange(THUMBNAIL, device=x.device), x.shape[-1]
    start, end = i * length // THUMBNAIL, -(-(i + 1) * length // THUMBNAIL)
    upto = x.cumsum(-1, dtype=torch.int32)
    before = upto.index_select(-1, (start - 1).clamp(min=0)) * (start > 0)
    return upto.index_select(-1, end - 1) - before, end - start


def loops(thumbnail_TD: Tensor) -> Tensor:
    """(T,) float64: 1 where a frame is as one at least 8 before it, and another in between was not."""
    T, found = len(thumbnail_TD), []
    place = torch.arange(T, device=thumbnail_TD.device)
    for t in place.split(256):
        distance = torch.cdist(thumbnail_TD[t], thumbnail_TD, p=1) / thumbnail_TD.shape[1]
        back = _last((distance < SAME) & (place < t[:, None] - LOOP_GAP), place)
        other = _last((distance > APART) & (place < t[:, None]), place)
        found.append((back >= 0) & (other > back))
    return torch.cat(found).double()


def _last(true_tT: Tensor, place_T: Tensor) -> Tensor:
    """(t,): the last place at which it is true, or −1."""
    return torch.where(true_tT, place_T, -1).amax(1)


def _numbers(x: Tensor) -> np.ndarray:
    return x.double().cpu().numpy()


def relative(value_T: np.ndarray) -> np.ndarray:
    """To that of frame 0."""
    return value_T / np.maximum(value_T[0], 1e-3)


def _frozen(mean_TC: np.ndarray) -> np.ndarray:
    still = (mean_TC.mean(1) < 0.25).astype(np.float64)
    still[0] = np.nan
    return still


def _made(key: str, measure: Callable[[DeviceView], Tensor], row: Callable[[np.ndarray], np.ndarray]) -> FrameMeasure:
    return FrameMeasure(key=key, measure=measure, row=lambda request, found: row(_numbers(found)))


def _colours(view: DeviceView) -> Tensor:
    return _means(view.frames)


def _change(view: DeviceView) -> Tensor:
    return median_of_pictures(view.from_opening)


def _change_mean(view: DeviceView) -> Tensor:
    return _means(view.from_opening)


def _motion(view: DeviceView) -> Tensor:
    return _means(view.from_previous)


def _flicker(view: DeviceView) -> Tensor:
    return median_of_pictures(view.from_previous)


MEASURES = {
    "change": _made("change", _change, lambda x: x),
    "change_mean": _made("change_mean", _change_mean, lambda x: x.mean(1)),
    "sharpness": _made("sharpness", sharpness, relative),
    "contrast": _made("contrast", contrast, relative),
    "saturation": _made("saturation", saturation, relative),
    "exposure": _made("colours", _colours, lambda x: x @ np.array(LUMA)),
    "colour": _made("colours", _colours, lambda x: np.linalg.norm(x - x[:1], axis=1)),
    "motion": _made("motion", _motion, lambda x: x.mean(1)),
    "frozen": _made("motion", _motion, _frozen),
    "loops": FrameMeasure(key="loops", measure=thumbnails, row=lambda request, found: _numbers(loops(found))),
    "flicker": _made("flicker", _flicker, lambda x: x[1:]),
}
"""By the quantity's name, and ``flicker`` of frames.py."""
