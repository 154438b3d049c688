"""A mask rule changes the predicted mask before it composes the noise; 1 = copy from the reference."""


def hard(*, threshold: float = 0.5):
    """Copies or does not: nothing in between.

    Args:
        threshold: masks above it become 1, the others 0.
    """

    def rule(mask_B1hw, sigma):
        return (mask_B1hw > threshold).to(mask_B1hw)

    return rule
