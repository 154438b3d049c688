"""Features of a UNet's deep part, kept from one evaluation for the next ones (DeepCache, Ma et al. 2023).

On its way up a UNet takes the skip connections of its way down in reverse. Its last ``blocks`` residual blocks take
the first ``blocks`` of them, so what lies between, the deep part, meets the rest in one feature map only.

Shape suffixes: B batch, C channels, H W feature size.
"""

from torch import Tensor

from artv.errors import UserError


class DeepFeatures:
    """A place for the deep features of one network and one set of rows.

    A network that gets it empty computes everything and leaves the features here; else it takes them from here and
    computes the shallow part alone.

    Args:
        blocks: residual blocks on the way up that are computed each time, at least 1.
        h_BCHW: what goes into the first of them; None: empty.
    """

    def __init__(self, blocks: int, h_BCHW: Tensor | None = None) -> None:
        if blocks < 1:
            raise UserError(f"blocks is {blocks}; it must be at least 1")
        self.blocks = blocks
        self.h_BCHW = h_BCHW

    @property
    def filled(self) -> bool:
        """Whether the next evaluation computes the shallow part alone."""
        return self.h_BCHW is not None

    def check(self, ups: int) -> None:
        """Raises UserError for a network whose way up has only ``ups`` residual blocks."""
        if self.blocks > ups:
            raise UserError(f"blocks is {self.blocks}; this network has {ups} on its way up, so give 1–{ups}")


DeepPair = tuple[DeepFeatures, DeepFeatures]
"""The dynamic network's and the mask network's."""


def deep_features(blocks: int) -> DeepPair:
    """Empty places for both networks' features."""
    return DeepFeatures(blocks), DeepFeatures(blocks)
