"""One mechanism for all that is asked of long clips: a quantity a frame, and a summary of its curve over the clip.

    metric = CurveEvaluator(QUANTITIES["sharpness"], "vde")
    metric.describe(clips)                        # (n, T): the curves, the same rows for every summary

A quantity sees a clip a few frames at a time and may keep what it needs of those before, so memory does not grow
with the clip's length. NaN marks a frame on which it is undefined.

Shape suffixes: n clips, T frames of a clip, t frames at a time, H W pixels, C colour channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from artv.errors import UserError, closest
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.metrics.base import MeanEvaluator, mean_where_defined
from artv_eval.metrics.device_views import FrameMeasure
from artv_eval.metrics.summaries import SUMMARIES, Summary
from artv_eval.metrics.views import View, views

Measure = Callable[[View], np.ndarray]
Select = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number for every frame.

    Args:
        name: as in tables. digest: of all that the numbers depend on beside the clip.
        begin: called for every clip with its request; what it returns is called for a few frames at a time, in order,
            and gives (t,) numbers, or (t, K) where one look at a frame serves several quantities.
        higher_is_better: None where neither is.
        needs: as of :class:`~artv_eval.api.Evaluator`.
        columns, select: K, and the quantity (n, T) of K columns (n, T, K).
        of_set: in place of ``begin``: the curves of a set, (n, T), such as those of features that other metrics share.
        encoder: of pictures, if it takes one.
        on_device: the same numbers, where a device does the work.
    """

    name: str
    digest: str
    begin: Callable[[ClipRequest], Measure] | None = None
    higher_is_better: bool | None = None
    needs: frozenset[str] = frozenset()
    columns: int = 1
    select: Select = lambda rows: rows[..., 0]
    of_set: Callable[[ClipSet], np.ndarray] | None = None
    encoder: Any = None
    on_device: FrameMeasure | None = None


def simple(name: str, measure: Measure, higher_is_better: bool | None = None, version: int = 1) -> Quantity:
    """A quantity for which a few frames at a time are enough."""
    return Quantity(
        name=name, digest=f"{name}-{version}", begin=lambda request: measure, higher_is_better=higher_is_better
    )


def curve_of_clip(quantity: Quantity, request: ClipRequest, clip: GeneratedClip) -> np.ndarray:
    """(T,) or (T, K) of one clip."""
    assert quantity.begin is not None
    measure, T = quantity.begin(request), len(clip.frames)
    # one array from the start: small ones kept between large ones that come and go would scatter memory
    curve = np.empty((T, quantity.columns) if quantity.columns > 1 else T)
    for view in views(clip.frames):
        curve[view.start : view.start + len(view.frames)] = measure(view)
    return curve


class CurveEvaluator(MeanEvaluator):
    """A quantity and a summary as a metric; rows are the curves, (n, T·K).

    Args:
        quantity: what is measured of every frame.
        summary: a name of :data:`~artv_eval.metrics.summaries.SUMMARIES`, or one made with other numbers.
        device: where long clips are measured, if the quantity can be there.
    """

    in_parts = True

    def __init__(
        self, quantity: Quantity, summary: str | Summary = "level", *, name: str | None = None, device: str = "cpu"
    ):
        if isinstance(summary, str):
            if summary not in SUMMARIES:
                raise UserError(f"summary of a curve is {summary!r}; {closest(summary, SUMMARIES)}")
            summary = SUMMARIES[summary]
        self.quantity, self.summary = quantity, summary
        self.name = name or f"{quantity.name}/{summary.name}"
        self.digest, self.needs, self.clip = quantity.digest, quantity.needs, quantity.encoder
        self.least_frames, self.device, self.on_device = summary.least_frames, device, quantity.on_device
        self.higher_is_better = quantity.higher_is_better if summary.keeps_direction else False

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, T·K): the curve of every clip."""
        if self.quantity.of_set is not None:
            return self.quantity.of_set(clips)
        curves = [curve_of_clip(self.quantity, request, clip) for request, clip in clips]
        lengths = {len(curve) for curve in curves}
        if len(lengths) > 1:
            raise UserError(
                f"metric {self.name!r}: clips of one set have {min(lengths)} to {max(lengths)} frames; give clips of "
                "one length, or say how many frames count (--frames)"
            )
        return np.stack([curve.ravel() for curve in curves])

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): the summary of each curve."""
        return self.summary(self._curves(rows))

    def curve(self, rows: np.ndarray) -> np.ndarray:
        """(T,): mean over the clips on which the quantity is defined there; NaN where it is on none."""
        return mean_where_defined(self._curves(rows))

    def _curves(self, rows: np.ndarray) -> np.ndarray:
        """(n, T)."""
        return self.quantity.select(rows.reshape(len(rows), -1, self.quantity.columns))
