"""An exponential moving average of a model's weights (Table 4: decay 0.9999)."""

import copy

import torch
from torch import nn


class Ema:
    """``model`` is the averaged copy. The decay warms up as (1 + step) / (10 + step), so early averages are of use."""

    def __init__(self, model: nn.Module, decay: float = 0.9999) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self._pairs = list(zip(self.model.parameters(), model.parameters(), strict=True))

    def weight(self, step: int) -> float:
        """How much of the current weights enters the average at ``step``."""
        return 1 - min(self.decay, (1 + step) / (10 + step))

    def averages(self) -> dict[nn.Parameter, nn.Parameter]:
        """The average of each parameter of the model."""
        return {value: average for average, value in self._pairs}

    @torch.no_grad()
    def update(self, weight: float) -> None:
        """Moves the average towards the model by ``weight``, in one pass over both."""
        averages, values = [list(x) for x in zip(*self._pairs, strict=True)]
        torch._foreach_lerp_(averages, [v.detach() for v in values], weight)
