"""Factories of the metrics that are a quantity a frame and a summary of its curve, as ``metrics`` components name them.

``curve:QUANTITY`` or ``curve:QUANTITY/SUMMARY`` is any of them; the others are the usual ones under names of their own.
"""

from functools import partial
from typing import Any

from artv.errors import UserError, closest
from artv.ranges import Count, Name, Several
from artv_eval.features.base import TextImageExtractor
from artv_eval.metrics.base import Evaluator
from artv_eval.metrics.curves import CurveEvaluator, Quantity
from artv_eval.metrics.factories import _of_pictures, still_background_drift
from artv_eval.metrics.headline import STILL_BACKGROUND
from artv_eval.metrics.summaries import CHUNKS, SUMMARIES, Summary, delta, vde, vde_even


def summary_of(name: str, ends: int | None = None, chunks: int | None = None) -> Summary:
    """One of :data:`SUMMARIES`; ``ends``: frames of each end that a delta takes; ``chunks``: of VDE."""
    if name not in SUMMARIES:
        raise UserError(f"summary of a curve is {name!r}; {closest(name, SUMMARIES)}")
    made = {
        "delta": delta(ends),
        "delta_abs": lambda curves: abs(delta(ends)(curves)),
        "vde": vde(CHUNKS if chunks is None else chunks),
        "vde_even": vde_even(chunks),
    }
    known, least = SUMMARIES[name], {"delta": 2 * (ends or 1), "delta_abs": 2 * (ends or 1)}
    least |= {"vde": chunks or CHUNKS, "vde_even": chunks or 2}
    return Summary(name, made.get(name, known.function), known.keeps_direction, least.get(name, known.least_frames))


def quantity_of(name: str, feature: Any = "shapes-clip", distance: int | None = None, device: str = "cpu") -> Quantity:
    """A quantity by name: of pictures, of the truth of a shapes world, ``consistency`` (by an encoder), or a flow.

    ``flow`` is by RAFT, ``flow_lk`` by Lucas and Kanade.
    """
    from artv_eval.metrics.picture_curves import QUANTITIES, consistency, flow
    from artv_eval.metrics.truth import TRUTHS

    if name == "consistency":
        if distance is not None and distance < 1:
            raise UserError(f"distance is {distance}; it must be at least 1 frame")
        return consistency(_of_pictures(feature, device), distance)
    if name == "flow":
        from artv_eval.metrics.warping import Raft

        return flow(Raft(device=device))
    if name == "flow_lk":
        from artv_eval.metrics.lucas_kanade import LucasKanade

        return flow(LucasKanade(device=device), name)
    known = {**QUANTITIES, **TRUTHS}
    if name not in known:
        raise UserError(f"quantity of a curve is {name!r}; {closest(name, [*known, 'consistency', 'flow', 'flow_lk'])}")
    return known[name]


def curve(
    what: Name,
    ends: Count | None = None,
    chunks: Several | None = None,
    feature: TextImageExtractor | str = "shapes-clip",
    distance: Count | None = None,
    name: str | None = None,
    device: str = "cpu",
) -> Evaluator:
    """``QUANTITY`` or ``QUANTITY/SUMMARY``: the mean over clips of a summary of the quantity's curve.

    Args:
        ends: frames of each end that ``delta`` and ``delta_abs`` compare; None = 15 % of the clip.
        chunks: of ``vde`` and ``vde_even``; None = 10, for the latter at most one a frame.
        feature, distance: of ``consistency``: the encoder of pictures, and to which frame: None = the first, else so
            many before.
        name: as in tables; by default what it is.
    """
    quantity, _, summary = what.partition("/")
    of_frames = quantity_of(quantity, feature, distance, device)
    return CurveEvaluator(of_frames, summary_of(summary or "level", ends, chunks), name=name, device=device)


curve.uses_feature = lambda what: what.partition("/")[0] == "consistency"  # type: ignore[attr-defined]


def drift(measure: str = STILL_BACKGROUND, device: str = "cpu") -> Evaluator:
    """The headline of drift, ``QUANTITY/SUMMARY``: which one, the protocol's card says (docs/metrics.md)."""
    if measure == STILL_BACKGROUND:
        return still_background_drift(name="drift", device=device)
    made = curve(measure, name="drift", device=device)
    made.said = f"drift is {measure} here"  # type: ignore[attr-defined]
    return made


def _named(quantity: str, summary: str = "level", name: str | None = None) -> Evaluator:
    return CurveEvaluator(quantity_of(quantity), summary, name=name or quantity)


background_error = partial(_named, "background_error")
background_drift = partial(_named, "background_error", "slope", "background_drift")
background_psnr = partial(_named, "background_psnr")
object_survival = partial(_named, "object_survival")
object_colour = partial(_named, "object_colour")
object_shape = partial(_named, "object_shape")
position_error = partial(_named, "position_error")
size_error = partial(_named, "size_error")
