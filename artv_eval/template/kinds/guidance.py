"""A guidance rule says which conditions its branches drop, and how their predictions combine."""


class TextOnly:
    """Classifier-free guidance by the text alone.

    Args:
        scale: of the difference that the text makes; 0 is the plain model.
    """

    def __init__(self, *, scale: float = 3.0):
        self.scale = scale

    def branches(self, sigma=None):
        """The first branch drops nothing; conditions are ref, anchor and text."""
        return (frozenset(), frozenset({"text"}))

    def combine(self, predictions, sigma=None):
        """One prediction, (B, C, H, W), from those of the branches."""
        full, without_text = predictions
        return full + self.scale * (full - without_text)
