"""The torchmetrics side of metrics that are a mean of one value a clip.

Shape suffixes: B clips, n clips in all, T frames, C channels, H W pixels.
"""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from artv.errors import UserError


class PerClipMetric(Metric):
    """Mean of one value a clip. State: sum and number in float64, which add across shards, and the values."""

    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor
    kept: list[Tensor]

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("kept", [], dist_reduce_fx="cat")

    @abstractmethod
    def values(self, *args: Any) -> Tensor:
        """(B,) values of the clips of one update; NaN where undefined."""

    def update(self, *args: Any) -> None:
        """Adds clips; the arguments are those of :meth:`values`."""
        value_B = self.values(*args).double().to(self.total.device)
        self.kept.append(value_B)
        self.total = self.total + value_B.nansum()
        self.count = self.count + (~value_B.isnan()).sum()

    def compute(self) -> Tensor:
        """The mean over the clips on which the metric is defined, float64."""
        if self.count == 0:
            raise UserError(f"{type(self).__name__} got no clips on which it is defined")
        return self.total / self.count

    def per_clip(self) -> Tensor:
        """(n,): one value a clip, in the order of the updates (shards in the order of their ranks)."""
        return dim_zero_cat(self.kept)
