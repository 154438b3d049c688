"""A distribution of noise levels says how noisy the reference frames are: 0 is clean, 1 is noise alone."""


def now_and_then(*, share: float = 0.2, level: float = 0.3):
    """Clean references, now and then noisy ones.

    Args:
        share: of the frames whose references are noisy.
        level: how noisy.
    """

    def levels(u_B):
        """Level (B,) of each sample. All chance is in u_B, a number a sample, uniform in 0 … 1: draw nothing here."""
        return level * (u_B < share).to(u_B)

    return levels
