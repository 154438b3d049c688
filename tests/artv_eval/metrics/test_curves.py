"""A quantity a frame and a summary of its curve: one description serves all, however few frames are seen at a time."""

import numpy as np
import pytest

from artv.errors import UserError
from artv_eval.metrics import views as module
from artv_eval.metrics.curves import CurveEvaluator, Quantity, curve_of_clip, simple
from artv_eval.metrics.summaries import SUMMARIES


def light(view):
    """Mean of each frame."""
    return view.frames.mean((1, 2, 3))


def both(view):
    """Mean and largest value of each frame; the latter is not defined on dark ones."""
    largest = view.frames.max((1, 2, 3)).astype(float)
    return np.stack([light(view), np.where(largest < 10, np.nan, largest)], 1)


LIGHT = simple("light", light, True)
LARGEST = Quantity(
    name="largest", digest="both-1", begin=lambda request: both, columns=2, select=lambda rows: rows[..., 1],
    higher_is_better=False, needs=frozenset({"labels"}),
)  # fmt: skip


@pytest.fixture
def frames():
    made = np.random.default_rng(0).integers(0, 256, (3, 7, 4, 5, 3), np.uint8)
    made[0, 2] = 3
    made[:, 4] = 4
    return made


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_curves_are_those_of_the_whole_clip(frames, clip_set, monkeypatch, at_once):
    monkeypatch.setattr(module, "VALUES", at_once * 4 * 5 * 3)
    assert CurveEvaluator(LIGHT).describe(clip_set(frames)) == pytest.approx(frames.mean((2, 3, 4)))
    rows = CurveEvaluator(LARGEST).describe(clip_set(frames))
    assert rows.shape == (3, 14) and rows[:, 0::2] == pytest.approx(frames.mean((2, 3, 4)))
    largest = frames.max((2, 3, 4)).astype(float)
    largest[[0, 0, 1, 2], [2, 4, 4, 4]] = np.nan
    assert rows[:, 1::2] == pytest.approx(largest, nan_ok=True)
    assert CurveEvaluator(LARGEST).curve(rows) == pytest.approx(
        [np.nan if np.isnan(part).all() else part[~np.isnan(part)].mean() for part in largest.T], nan_ok=True
    )


@pytest.mark.parametrize("summary", SUMMARIES)
def test_a_value_is_the_summary_of_the_curve(clip_set, summary):
    frames = np.random.default_rng(1).integers(50, 200, (2, 20, 4, 4, 3), np.uint8)
    evaluator = CurveEvaluator(LIGHT, summary)
    rows = evaluator.describe(clip_set(frames))
    wanted = SUMMARIES[summary](frames.mean((2, 3, 4)))
    assert evaluator.per_clip(rows) == pytest.approx(wanted) and evaluator.evaluate(rows) == pytest.approx(
        wanted.mean()
    )
    assert evaluator.name == f"light/{summary}" and evaluator.digest == CurveEvaluator(LIGHT).digest


@pytest.mark.parametrize(
    ("quantity", "summary", "direction"),
    [
        (LIGHT, "level", True), (LARGEST, "level", False), (simple("x", light), "level", None),
        (LIGHT, "slope", True), (LARGEST, "delta", False),
        (LIGHT, "vde", False), (LIGHT, "delta_abs", False), (simple("x", light), "peak", False),
    ],
)  # fmt: skip
def test_a_deviation_is_worse_the_larger_it_is_whatever_the_quantity(quantity, summary, direction):
    evaluator = CurveEvaluator(quantity, summary)
    assert evaluator.higher_is_better is direction and evaluator.needs == quantity.needs


def test_a_quantity_begins_anew_with_every_clip(frames, clip_set):
    def begin(request):
        seen = []

        def measure(view):
            seen.extend([request.index] * len(view.frames))
            return np.arange(len(seen) - len(view.frames), len(seen)) + 100 * request.index

        return measure

    rows = CurveEvaluator(Quantity(name="count", digest="1", begin=begin)).describe(clip_set(frames))
    assert rows.tolist() == [[100 * i + t for t in range(7)] for i in range(3)]


def test_mistakes_are_one_line(frames, clip_set):
    with pytest.raises(UserError, match="summary of a curve is 'levle'; did you mean level"):
        CurveEvaluator(LIGHT, "levle")
    requests = clip_set(frames).requests
    clips = [type("Clip", (), {"frames": frames[0][:count]})() for count in (7, 5, 7)]
    assert len(curve_of_clip(LIGHT, requests[0], clips[1])) == 5
    mixed = list(zip(requests, clips, strict=True))
    with pytest.raises(UserError, match="metric 'light/level': clips of one set have 5 to 7 frames; give clips of one"):
        CurveEvaluator(LIGHT).describe(mixed)
