"""A protocol fixes everything that a number depends on apart from the method."""

from artv_eval.testing import toy_clips, toy_requests


class Card:
    """Clips of the shapes world, few and short: replace them by your prompts and real clips."""

    name = "{{ name }}@1"
    hash = "0123456789ab"  # must change with anything below
    metrics = ("drift",)

    def requests(self, num=None, frames=None, seed=0):
        """What to generate. Fewer requests must be the first of more."""
        return toy_requests(num or 8, frames=frames or 8, seed=seed)

    def reference(self):
        """Real clips for set metrics; none of them a request's ground truth."""
        return toy_clips(32, frames=8, start=1000)
