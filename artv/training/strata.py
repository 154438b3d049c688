"""Which samples of a batch lack a condition, in even shares of the batch.

Each sample has a place in [0, 1), and samples lie evenly: row j of B at (j + u) / B, one u for all. Where it lies says
what it lacks:

    0       first     first + both          first + anchor             1 − refs       1
    | first frame |  neither given  |  anchor not given  |  both given  | refs not given |

A first frame has neither references nor anchor. A place is uniform, so each sample's chances are those of drawing
sample by sample, joint ones included; only how many of a batch lack something varies by one at most. So some rows lack
it in every batch, and nothing is computed for them (:class:`artv.networks.present.Present`): a captured graph, whose
shapes are fixed, saves it too. Which clip lies in which row is drawn anew for each batch.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from artv.conditioning import ConditionDropout
from artv.data.latents import Batch
from artv.networks.present import Present, Rows
from artv.training.config import TrainConfig

_LAST = 1 - 2**-24
"""The last place: the largest float32 below 1, to which the last row's would be rounded up now and then."""


@dataclass(frozen=True)
class Strata:
    """For batches of ``batch_size`` samples. ``first_frames``: their share; ``dropout``: chances of the others."""

    batch_size: int
    first_frames: float
    dropout: ConditionDropout

    @classmethod
    def of(cls, config: TrainConfig) -> "Strata":
        """A run's."""
        drop = ConditionDropout(text=config.drop_text, ref=config.drop_ref, anchor=config.drop_anchor)
        return cls(config.model.batch_size, config.first_frame_share, drop)

    @property
    def _edges(self) -> tuple[float, float, float]:
        """Up to where there are no references, up to where no anchor, and from where no references again."""
        first, drop = self.first_frames, self.dropout
        both = drop.ref * drop.anchor
        share = 1 - first
        return first + share * both, first + share * drop.anchor, 1 - share * (drop.ref - both)

    @property
    def present(self) -> Present:
        """Rows that do not lack references, or the anchor, in every batch; all of them, where no row is left."""
        B = self.batch_size
        neither, anchorless, again = self._edges
        start, stop, anchor = math.floor(B * neither), math.ceil(B * again), math.floor(B * anchorless)
        if start >= stop or anchor >= stop:  # every network needs a sample, for its gradient
            return Present(Rows(0, B), Rows(0, B))
        return Present(Rows(start, stop), Rows(anchor, B))

    def draw(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Which rows are first frames, have references, have an anchor: bool, (B,) each."""
        neither, anchorless, again = self._edges
        row = torch.arange(self.batch_size, device=device)
        place = ((row + torch.rand((), device=device)) / self.batch_size).clamp_max(_LAST)
        has_refs, has_anchor = (place >= neither) & (place < again), place >= anchorless
        refs, anchor = self.present.refs, self.present.anchor
        # float32 places may lie on the other side of an edge than exact ones
        has_refs = has_refs & (row >= refs.start) & (row < refs.stop)
        return place < self.first_frames, has_refs, has_anchor & (row >= anchor.start)


def shuffled(batch: Batch) -> Batch:
    """Its clips in an order drawn on the device."""
    order_B = torch.rand(len(batch.latents_BTChw), device=batch.latents_BTChw.device).argsort()
    return Batch(batch.latents_BTChw[order_B], batch.text_BLD[order_B])
