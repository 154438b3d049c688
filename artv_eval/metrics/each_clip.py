"""Clips of several lengths in one set: each has the value that it has by itself, and what compares sets has none.

    alone = EachClip(evaluator)
    alone.evaluate(alone.rows(described))        # described: a row (d,) a clip, d as its length makes it

Chunks, ends and shares of a clip are then those of its own length. The curve at a frame is the mean over the clips that
have this frame, so its end is over fewer of them.

Shape suffixes: n clips, d numbers of a described clip, T frames of the longest.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from artv_eval.api import ClipSet
from artv_eval.extras import EvaluatorExtras, gives, optional
from artv_eval.metrics.base import MeanEvaluator, mean_where_defined
from artv_eval.metrics.statistics import per_clip


def of_sets(evaluator: Any) -> bool:
    """Whether a metric, of any origin, says nothing of single clips: it has no ``per_clip`` of its own."""
    return not gives(evaluator, EvaluatorExtras, "per_clip")


def several_lengths(lengths: Sequence[int]) -> str:
    """The status of a metric of sets of clips of so many frames each."""
    few, many = min(lengths), max(lengths)
    why = f"it compares sets, whose clips must be of one length, and these have {few} to {many} frames"
    return f"absent: {why}; give --frames {few}, or clips of one length"


class EachClip(MeanEvaluator):
    """A metric of single clips, evaluated clip by clip; its rows are the value of each and its curve, (n, 1 + T).

    Frames that a clip has not are NaN.
    """

    def __init__(self, evaluator: Any) -> None:
        self.of, self.digest = evaluator, f"{evaluator.digest} {evaluator.name} of each"
        self.name, self.needs, self.higher_is_better = evaluator.name, evaluator.needs, evaluator.higher_is_better
        for extra in ("features", "clip", "said", "is_cost", "first"):
            setattr(self, extra, optional(evaluator, EvaluatorExtras, extra))

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, 1 + T)."""
        return self.rows([np.asarray(self.of.describe(clips[i : i + 1]))[0] for i in range(len(clips))])

    def rows(self, described: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """(n, 1 + T) of the rows of single clips, which may be of several widths."""
        each = [np.concatenate([self._value(row[None]), self._curve(row[None])]) for row in described]
        rows = np.full((len(each), max(map(len, each))), np.nan)
        for row, its in zip(rows, each, strict=True):
            row[: len(its)] = its
        return rows

    def _value(self, row_1d: np.ndarray) -> np.ndarray:
        """(1,)."""
        if (found := per_clip(self.of, row_1d)) is None:
            raise ValueError("per_clip() gave None: it says nothing of single clips")
        return found

    def _curve(self, row_1d: np.ndarray) -> np.ndarray:
        """(T,) of this clip, or (0,)."""
        found = optional(self.of, EvaluatorExtras, "curve")(row_1d)
        return np.empty(0) if found is None else np.asarray(found, np.float64)

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,)."""
        return rows[:, 0]

    def curve(self, rows: np.ndarray) -> np.ndarray | None:
        """(T,): mean over the clips that have the frame; None where the metric has no curve."""
        return mean_where_defined(rows[:, 1:]) if rows.shape[1] > 1 else None
