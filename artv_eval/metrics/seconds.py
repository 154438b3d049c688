"""What a clip costs: the seconds it took to make, measured while the sweep made it."""

import numpy as np

from artv_eval.api import ClipSet
from artv_eval.metrics.base import MeanEvaluator


class SecondsEvaluator(MeanEvaluator):
    """Wall-clock seconds a clip; rows (n, 1).

    Clips made together share their batch's time. Compare cells of one run on one idle machine, nothing else.
    """

    name = "seconds"
    digest = "seconds-1"
    higher_is_better = False
    is_cost = in_parts = True
    needs = frozenset({"seconds"})

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, 1): seconds. Raises UserError for clips that were not made by a sweep."""
        rows = []
        for _, clip in clips:
            if clip.seconds is None:
                raise self.lacks("the time that it took")
            rows.append([clip.seconds])
        return np.array(rows)

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,) seconds."""
        return rows[:, 0]
