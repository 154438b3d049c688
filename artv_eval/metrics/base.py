"""What metrics share: describe clips once, evaluate the rows as often as statistics needs.

    rows = evaluator.describe(clips)              # (n, d), one row a clip: evaluators of equal digest share cached rows
    value = evaluator.evaluate(rows, reference)   # so intervals and tests are resampling over rows

The contract is :class:`artv_eval.api.Evaluator`.

Shape suffixes: n clips, m reference clips, d numbers a clip, R resamples, T frames, C channels, H W pixels, B batch.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, Evaluator, GeneratedClip
from artv_eval.extras import EvaluatorExtras, ExtractorExtras, optional

if TYPE_CHECKING:
    from artv_eval.metrics.device_views import FrameMeasure

BATCH = 16  # clips described at once


class BuiltIn(EvaluatorExtras, Evaluator):
    """A metric of the package: the contract of :class:`artv_eval.api.Evaluator` with the defaults of its extras."""

    name: str
    digest: str
    higher_is_better: bool | None = None
    needs: frozenset[str] = frozenset()
    device: str = "cpu"
    on_device: "FrameMeasure | None" = None
    """What is measured of each frame where a device does the work: of long clips, in one walk for all metrics."""

    @abstractmethod
    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, d) float: one row a clip, in order. Raises UserError when the clips lack what the metric needs."""

    @abstractmethod
    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """The metric of ``rows`` (n, d), against ``reference`` (m, d) if it needs one."""

    def lacks(self, what: str) -> UserError:
        """The error to raise when clips come without something this metric needs."""
        return UserError(
            f"metric {self.name!r} needs {what} for every clip and this set has none; "
            "leave the metric out, or use a protocol and a method that provide it"
        )


class SetEvaluator(BuiltIn):
    """A metric of a whole set against a reference set: it has no per-clip parts."""

    needs = frozenset({"reference"})

    def reference(self, reference: np.ndarray | None) -> np.ndarray:
        """The reference rows, or a UserError."""
        if reference is None:
            raise UserError(
                f"metric {self.name!r} compares with reference clips and got none; use a protocol that has them"
            )
        return reference


class MeanEvaluator(BuiltIn):
    """A metric that is the mean of one value a clip. NaN marks a clip on which it is undefined; those are left out."""

    @abstractmethod
    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,) values whose mean over the clips that are not NaN is the metric."""

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        values = self.per_clip(rows)
        if np.isnan(values).all():
            raise UserError(f"metric {self.name!r} is undefined on all {len(rows)} clips")
        return float(np.nanmean(values))

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        return np.nanmean(self.per_clip(rows)[index_Rn], axis=1)


def curve_of(evaluator: Any, rows: np.ndarray, reference: np.ndarray | None) -> tuple[float | None, ...] | None:
    """The metric against the frame index (of a window: its place), or None; of evaluators of any origin."""
    curve = None if reference is None else optional(evaluator, EvaluatorExtras, "curve_against")(rows, reference)
    if curve is None:
        curve = optional(evaluator, EvaluatorExtras, "curve")(rows)
    return None if curve is None else curve_values(curve)


def curve_values(curve: np.ndarray) -> tuple[float | None, ...]:
    """The points of a curve for results; None, which JSON can say, where no clip has a value (NaN)."""
    return tuple(None if np.isnan(value) else float(value) for value in curve)


def mean_where_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN, without numpy's warning where nothing is."""
    there = ~np.isnan(values)
    total, count = np.where(there, values, 0).sum(0), there.sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mean_over_frames(rows: np.ndarray) -> np.ndarray:
    """(n,) of (n, t); NaN where t is 0, as of what has a value from the second frame on in clips of one."""
    return rows.mean(1) if rows.shape[1] else np.full(len(rows), np.nan)


def extractor_of(evaluator: Any) -> Any:
    """What an evaluator of any origin describes clips or pictures by, or None."""
    features = optional(evaluator, EvaluatorExtras, "features")
    return optional(evaluator, EvaluatorExtras, "clip") if features is None else features


def device_of(evaluator: Any) -> str:
    """Where an evaluator of any origin describes clips."""
    extractor = extractor_of(evaluator)
    if extractor is None:
        return evaluator.device if isinstance(evaluator, BuiltIn) else "cpu"
    return str(optional(extractor, ExtractorExtras, "device"))


def walked_on(evaluator: Any) -> str | None:
    """The GPU on which an evaluator measures long clips frame by frame, in one walk with others; None: it does not."""
    if not isinstance(evaluator, BuiltIn) or evaluator.on_device is None or not _ours(type(evaluator).describe):
        return None
    return device if (device := device_of(evaluator)).startswith("cuda") else None


def _ours(function: Callable[..., Any]) -> bool:
    """Whether it is the package's: a subclass elsewhere that describes clips in another way does not walk."""
    return function.__module__.startswith("artv_eval.metrics.")


def features_of(evaluator: Any) -> str | None:
    """Name of the extractor with 8 digits of its digest (weights and preprocessing), or None without one."""
    found = extractor_of(evaluator)
    return None if found is None else f"{found.name} {found.digest[:8]}"


def held(clip: GeneratedClip) -> GeneratedClip:
    """The same clip as arrays in memory."""
    return GeneratedClip(np.asarray(clip.frames), None if clip.mask is None else np.asarray(clip.mask), clip.seconds)


def whole_clips(clips: ClipSet) -> ClipSet:
    """The same set, each clip as arrays in memory while it is looked at."""
    return ClipSet(clips.requests, lambda i: held(clips[i][1]), clips.origin)


def check_evaluator(evaluator: Any) -> None:
    """Asks an evaluator of any origin once for what it says of itself.

    Raises:
        ValueError: it says what nobody can use. Whatever it raises itself.
    """
    for name in ("name", "digest"):
        if not isinstance(value := getattr(evaluator, name), str):
            raise ValueError(f"{name} is {value!r}; it must be a text")
    if isinstance(evaluator.needs, str) or not all(isinstance(need, str) for need in evaluator.needs):
        raise ValueError(f"needs is {evaluator.needs!r}; it must be a set of texts")
    if evaluator.higher_is_better not in (True, False, None):
        raise ValueError(f"higher_is_better is {evaluator.higher_is_better!r}; it must be True, False or None")
    for name, default in vars(EvaluatorExtras).items():
        if not name.startswith("_") and not callable(default):
            optional(evaluator, EvaluatorExtras, name)
    if (extractor := extractor_of(evaluator)) is not None:
        for name in ("device", "world"):
            optional(extractor, ExtractorExtras, name)


def described(evaluator: Any, clips: ClipSet) -> np.ndarray:
    """The rows (n, d) of an evaluator of any origin.

    Raises:
        ValueError: it gave something else than numbers, a row a clip.
    """
    if not optional(evaluator, EvaluatorExtras, "in_parts"):
        clips = whole_clips(clips)
    rows = np.asarray(evaluator.describe(clips))
    if rows.ndim != 2 or len(rows) != len(clips):
        raise ValueError(f"describe() of {len(clips)} clips gave {rows.shape}; it must be (n, d)")
    if rows.dtype.kind not in "fiub":
        raise ValueError(f"describe() gave rows of {rows.dtype}; they must be numbers")
    return rows


Preprocess = Callable[[np.ndarray], np.ndarray]


def frames_of(clips: list[tuple[ClipRequest, GeneratedClip]], transform: Preprocess | None = None) -> Tensor:
    """uint8 (B, T, 3, H, W) of one batch after ``transform``; a UserError when the clips differ in size."""
    return to_BTCHW([transform(clip.frames) if transform else clip.frames for _, clip in clips])


def to_BTCHW(frames_THWC: list[np.ndarray]) -> Tensor:
    """Stacks clips uint8 (T, H, W, 3) to (B, T, 3, H, W), colours innermost in memory as they were decoded.

    Where a GPU is in use, in memory that it can read by itself.
    """
    shapes = [frames.shape for frames in frames_THWC]
    if len(set(shapes)) > 1:
        odd = next(s for s in shapes if s != shapes[0])
        raise UserError(f"clips of one set differ in size: {shapes[0]} and {odd} (frames, height, width, 3)")
    stacked = torch.empty(len(shapes), *shapes[0], dtype=torch.uint8, pin_memory=torch.cuda.is_initialized())
    np.stack(frames_THWC, out=stacked.numpy())
    return stacked.permute(0, 1, 4, 2, 3)


def labels_of(request: ClipRequest, *keys: str) -> list[Any] | None:
    """The named labels of a request as arrays, or None if one is missing."""
    if not all(key in request.labels for key in keys):
        return None
    return [np.asarray(request.labels[key]) for key in keys]


def slope(curve: np.ndarray) -> np.ndarray:
    """Least-squares slope a frame of curves (…, T) over the frame index."""
    if curve.shape[-1] < 2:
        raise UserError("a slope over frames needs clips of at least 2 frames")
    t = np.arange(curve.shape[-1], dtype=np.float64)
    t -= t.mean()
    return (curve * t).sum(-1) / (t**2).sum()
