"""A metric describes every clip by a row, once, and evaluates rows as often as statistics needs."""

import numpy as np


class Brightness:
    """Mean brightness of the frames, 0 … 255: replace it by your metric."""

    name = "{{ name }}"
    digest = "brightness-1"  # must change with anything that describe() depends on
    higher_is_better = None
    needs = frozenset()  # of real, captions, first_frame, mask, labels, reference

    def describe(self, clips):
        """(n, d) float: one row a clip, of that clip alone."""
        return np.array([[clip.frames.mean()] for request, clip in clips])

    def per_clip(self, rows):
        """(n,) values whose mean is the metric; leave this out for a metric of the whole set."""
        return rows[:, 0]

    def evaluate(self, rows, reference=None):
        """The value over rows; ``reference`` holds the rows of the real clips if ``needs`` names them."""
        return float(rows[:, 0].mean())
