"""An anchor strategy chooses the latent that the next frame is held to."""


class EveryFew:
    """The newest frame, taken anew every few frames.

    Args:
        frames: how long an anchor stays.
    """

    def __init__(self, *, frames: int = 4):
        self.frames = frames

    def __call__(self, past):
        """The anchor of the next frame, (B, C, H, W); ``past`` is artv.anchors.Past. Keep no state here."""
        due = past.current is None or past.index % self.frames == 0
        return past.newest if due else past.current
