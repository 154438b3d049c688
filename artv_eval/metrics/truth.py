"""What only a synthetic world knows: is the background still the true one, and are the objects still there?

Per clip, paired and sensitive. Defined for clips of a shapes world in which the camera stands (which way it moves, no
prompt says); of clips with a moving one the values are NaN and left out. One description serves all these metrics.

Per frame:

- ``background_error``: mean |frame − true background| over the pixels that no object ever covers, grey levels;
  ``background_psnr`` from the squared error there, dB, at most 100;
- ``object_survival``: an object of which at least half is seen in truth is found: its colour covers at least a quarter
  of the area that it covers there;
- ``object_colour``: what is seen at the object's true place has its colour more than any other;
- ``object_shape``: the found pixels are most like the true shape (asked where nearly all of the object is seen);
- ``position_error``: distance of the centres of the found and the true pixels, in pixels of a 64-pixel picture;
- ``size_error``: relative difference of the diameters (roots of the areas).

Shape suffixes: n clips, T frames of a clip, t frames at a time, H W pixels, K numbers a frame.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from artv.data.shapes_truth import ShapesTruth, TruthWindow
from artv.errors import UserError
from artv_eval.api import ClipRequest
from artv_eval.metrics.base import mean_where_defined
from artv_eval.metrics.curves import Measure, Quantity, Select
from artv_eval.metrics.frames import PSNR_CAP
from artv_eval.metrics.shapes_objects import Found, locate, nearest_colour, shape_of
from artv_eval.metrics.views import AT_ONCE, View

COLUMNS = ("error", "squared", "survival", "colour", "shape", "position", "size")
SEEN, WHOLE = 0.5, 0.97  # shares of an object that must be seen for it to be asked for, and for its shape to be
FOUND = 0.25  # share of its true area
LEAST, LEAST_SHAPE = 12, 60  # pixels that an object has in truth to be asked for, and for its shape to be
AROUND = 6  # pixels around the true object that are still its place


def background_region(window: Callable[[int, int], TruthWindow], frames: int) -> np.ndarray:
    """(H, W) bool: pixels that no object covers at any time. ``window``: of the truth."""
    free = None
    for start in range(0, frames, AT_ONCE):
        masks = window(start, min(start + AT_ONCE, frames)).masks
        empty = (masks == 0).all((0, 1))
        free = empty if free is None else free & empty
    assert free is not None
    return free


def _begin(request: ClipRequest) -> Measure:
    """Measures (t, K) of a few frames of a clip at a time; NaN where the camera moves."""
    if "truth" not in request.labels:
        raise UserError("this metric needs the truth of a shapes world and the clips have none; take such a protocol")
    if request.labels["pans"]:
        return lambda view: np.full((len(view.frames), len(COLUMNS)), np.nan)
    truth: ShapesTruth = request.labels["truth"]
    window = lru_cache(maxsize=1)(truth.window)  # what the region and the first frames are drawn from
    region = background_region(window, request.num_frames)
    return lambda view: _window(view, window(view.start, view.start + len(view.frames)), region, request)


def _window(view: View, known: TruthWindow, region: np.ndarray, request: ClipRequest) -> np.ndarray:
    """(t, K)."""
    error = (view.frames.astype(np.float32) - known.background)[:, region]
    # an object that grows may leave no such pixel
    nothing = np.full((len(error), 2), np.nan)
    background = np.stack([np.abs(error).mean((1, 2)), (error**2).mean((1, 2))], 1) if region.any() else nothing
    seen_colours, true_colours = (
        nearest_colour(torch.from_numpy(np.ascontiguousarray(frames)), torch.from_numpy(known.background.copy()))
        for frames in (view.frames, known.frames)
    )
    objects = [
        _object(o, int(colour), int(shape), known, seen_colours, true_colours)
        for o, (colour, shape) in enumerate(zip(request.labels["colour"], request.labels["shape"], strict=True))
        if colour >= 0
    ]
    return np.concatenate([background, mean_where_defined(np.stack(objects))], 1)


def _object(o: int, colour: int, shape: int, known: TruthWindow, seen: Tensor, true: Tensor) -> np.ndarray:
    """(t, 5): survival, colour, shape, position, size of one object; NaN where it is not asked for."""
    there, ours = locate(true == colour), locate(seen == colour)
    asked = (torch.from_numpy(known.seen[o]) >= SEEN) & (there.area >= LEAST)
    found = asked & (ours.area >= FOUND * there.area)
    pixel = 64 / seen.shape[-1]
    position = (ours.centre - there.centre).norm(dim=1) * pixel
    size = ((ours.area / there.area).sqrt() - 1).abs()
    values = [
        _where(asked, found.double()),
        _colour_there(colour, o, known, seen, there, asked),
        _where(found & _whole(known, o, there), (shape_of(seen == colour, ours) == shape).double()),
        _where(found, position.double()),
        _where(found, size.double()),
    ]
    return torch.stack(values, 1).numpy()


def _whole(known: TruthWindow, o: int, there: Found) -> Tensor:
    return (torch.from_numpy(known.seen[o]) >= WHOLE) & (there.area >= LEAST_SHAPE)


def _where(condition: Tensor, value: Tensor) -> Tensor:
    return torch.where(condition, value, torch.nan)


def _colour_there(colour: int, o: int, known: TruthWindow, seen: Tensor, there: Found, asked: Tensor) -> Tensor:
    """(t,): 1 if the most frequent colour at the object's true place is its own; NaN where too little is seen there."""
    mask = torch.from_numpy(known.masks[o])[:, None]
    for kernel, padding in (((2 * AROUND + 1, 1), (AROUND, 0)), ((1, 2 * AROUND + 1), (0, AROUND))):
        mask = F.max_pool2d(mask, kernel, stride=1, padding=padding)
    place = mask[:, 0] > 0.05
    place &= torch.from_numpy(known.masks[1 - o]) < 0.05
    counts = torch.stack([((seen == k) & place).sum((1, 2)) for k in range(8)], 1)
    enough = asked & (counts.sum(1) >= FOUND * there.area)
    return _where(enough, (counts.argmax(1) == colour).double())


def _psnr(rows_nTK: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.minimum(10 * np.log10(255.0**2 / rows_nTK[..., 1]), PSNR_CAP)


def _quantity(name: str, select: Select, higher_is_better: bool) -> Quantity:
    return Quantity(
        name=name,
        digest="shapes-truth-1",
        begin=_begin,
        higher_is_better=higher_is_better,
        needs=frozenset({"labels"}),
        columns=len(COLUMNS),
        select=select,
    )


TRUTHS = {
    "background_error": _quantity("background_error", lambda rows: rows[..., 0], False),
    "background_psnr": _quantity("background_psnr", _psnr, True),
    "object_survival": _quantity("object_survival", lambda rows: rows[..., 2], True),
    "object_colour": _quantity("object_colour", lambda rows: rows[..., 3], True),
    "object_shape": _quantity("object_shape", lambda rows: rows[..., 4], True),
    "position_error": _quantity("position_error", lambda rows: rows[..., 5], False),
    "size_error": _quantity("size_error", lambda rows: rows[..., 6], False),
}
"""By name; all of them have the same rows, (n, T·K)."""
