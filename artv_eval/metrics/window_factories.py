"""Factories of metrics on sliding windows, as ``metrics`` components name them.

``…_anywhere`` compares every window with real windows at all places, the others with those at the same place;
``…_drift`` is the slope over the place. Windows have ``length`` frames, one begins every ``stride``.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

from artv.ranges import Count
from artv_eval.features.base import FeatureExtractor, TextImageExtractor
from artv_eval.metrics.base import Evaluator
from artv_eval.metrics.factories import Ddof, TransformSettings, _check, _of_clips, _of_pictures, _transform

Place = Literal["same", "anywhere"]


def _windows(length: Count = 8, stride: Count = 4, place: Place = "same", drift: bool = False) -> None:
    """The settings that all of them have beside their own."""


def _fvd(
    feature: FeatureExtractor | str = "shapes",
    ddof: Ddof = 1,
    transform: TransformSettings | None = None,
    name: str = "",
    device: str = "cpu",
    **windows: Any,
) -> Evaluator:
    """FVD on sliding windows."""
    from artv_eval.metrics.windows import WindowFvdEvaluator

    _check(ddof)
    return WindowFvdEvaluator(
        _of_clips(feature, device), name=name, ddof=ddof, transform=_transform(transform), **windows
    )


def _kvd(
    feature: FeatureExtractor | str = "shapes",
    transform: TransformSettings | None = None,
    name: str = "",
    device: str = "cpu",
    **windows: Any,
) -> Evaluator:
    """KVD on sliding windows."""
    from artv_eval.metrics.windows import WindowKvdEvaluator

    return WindowKvdEvaluator(_of_clips(feature, device), name=name, transform=_transform(transform), **windows)


def _frame_fid(
    feature: TextImageExtractor | str = "shapes-clip",
    ddof: Ddof = 1,
    name: str = "",
    device: str = "cpu",
    **windows: Any,
) -> Evaluator:
    """FID of the frames of sliding windows."""
    from artv_eval.metrics.windows import WindowFidEvaluator

    _check(ddof)
    return WindowFidEvaluator(_of_pictures(feature, device), name=name, ddof=ddof, **windows)


def _named(factory: Callable[..., Evaluator], name: str, **given: Any) -> Callable[..., Evaluator]:
    """The factory under a name, without the settings that the name says."""

    @wraps(factory)
    def made(**settings: Any) -> Evaluator:
        return factory(name=name, **given, **settings)

    parameters = [*inspect.signature(factory).parameters.values(), *inspect.signature(_windows).parameters.values()]
    hidden = {"name", "windows", *given}
    made.__annotations__ = factory.__annotations__ | _windows.__annotations__ | {"return": Evaluator}
    made.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter for parameter in parameters if parameter.name not in hidden], return_annotation=Evaluator
    )
    return made


# place is a setting of the first two, as it was before the others had names of their own
window_fvd = _named(_fvd, "window_fvd", drift=False)
window_fvd_drift = _named(_fvd, "window_fvd_drift", drift=True)
window_fvd_anywhere = _named(_fvd, "window_fvd_anywhere", place="anywhere", drift=False)
window_fvd_anywhere_drift = _named(_fvd, "window_fvd_anywhere_drift", place="anywhere", drift=True)
window_kvd = _named(_kvd, "window_kvd", place="same", drift=False)
window_kvd_drift = _named(_kvd, "window_kvd_drift", place="same", drift=True)
window_kvd_anywhere = _named(_kvd, "window_kvd_anywhere", place="anywhere", drift=False)
window_kvd_anywhere_drift = _named(_kvd, "window_kvd_anywhere_drift", place="anywhere", drift=True)
window_frame_fid = _named(_frame_fid, "window_frame_fid", place="same", drift=False)
window_frame_fid_drift = _named(_frame_fid, "window_frame_fid_drift", place="same", drift=True)
window_frame_fid_anywhere = _named(_frame_fid, "window_frame_fid_anywhere", place="anywhere", drift=False)
window_frame_fid_anywhere_drift = _named(_frame_fid, "window_frame_fid_anywhere_drift", place="anywhere", drift=True)
