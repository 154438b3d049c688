import numpy as np


class Liveliness:
    """Mean absolute change from frame to frame, grey levels: 0 for a still, and for a model that copies everything."""

    name, digest, higher_is_better, needs = "liveliness", "liveliness-1", None, frozenset()

    def describe(self, clips):
        return np.array([[np.abs(np.diff(clip.frames.astype(float), axis=0)).mean()] for _, clip in clips])

    def evaluate(self, rows, reference=None):
        return float(rows.mean())
