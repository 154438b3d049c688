"""Metrics of a whole set as ``torchmetrics.Metric``: usable without the harness, states that add across shards.

Shape suffixes: B clips, T frames, C channels, H W pixels, D feature dimensions, K classes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from artv.errors import UserError
from artv_eval.features.base import FeatureExtractor
from artv_eval.metrics.frechet import frechet_distance
from artv_eval.metrics.kvd import unbiased_mmd


class FrechetVideoDistance(Metric):
    """FVD as a torchmetrics metric. State: number, sum and sum of outer products in float64, so shards add up.

    Args:
        features: maps uint8 clips (B, T, 3, H, W) to (B, D); None when :meth:`update` is given features.
        dim: D; taken from ``features.dim`` if that exists.
        ddof: 1 divides the covariance by n − 1 (most code), 0 by n (StyleGAN-V).

    >>> fvd = FrechetVideoDistance(dim=2)
    >>> for real in (True, False):
    ...     fvd.update(torch.eye(2).repeat(3, 1), real=real)
    >>> round(float(fvd.compute()), 6)
    0.0
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    real_sum: Tensor

    def __init__(
        self,
        features: FeatureExtractor | Callable[[Tensor], Tensor] | None = None,
        *,
        dim: int | None = None,
        ddof: int = 1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        dim = dim or getattr(features, "dim", None)
        if dim is None:
            raise UserError(
                "FrechetVideoDistance needs dim, the number of features, when the extractor does not say it"
            )
        if ddof not in (0, 1):
            raise UserError(f"ddof is {ddof}; it must be 1 (covariance over n − 1) or 0 (over n)")
        self.features, self.dim, self.ddof = features, dim, ddof
        for side in ("real", "fake"):
            self.add_state(f"{side}_n", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{side}_sum", torch.zeros(dim, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{side}_outer", torch.zeros(dim, dim, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, clips: Tensor, real: bool) -> None:
        """Adds clips, uint8 (B, T, 3, H, W), or their features (B, D) when there is no extractor."""
        x_BD = (self.features(clips) if self.features is not None else clips).to(self.real_sum)
        if x_BD.ndim != 2 or x_BD.shape[1] != self.dim:
            raise UserError(f"features of shape {tuple(x_BD.shape)}; they must be (clips, {self.dim})")
        side = "real" if real else "fake"
        setattr(self, f"{side}_n", getattr(self, f"{side}_n") + len(x_BD))
        setattr(self, f"{side}_sum", getattr(self, f"{side}_sum") + x_BD.sum(0))
        setattr(self, f"{side}_outer", getattr(self, f"{side}_outer") + x_BD.T @ x_BD)

    def set_dtype(self, dst_type: Any) -> "FrechetVideoDistance":
        """Keeps float64: sums of squares in less lose the small eigenvalues."""
        return self

    def compute(self) -> Tensor:
        """The distance, float64 scalar."""
        return torch.tensor(frechet_distance(*self._moments("real"), *self._moments("fake")), dtype=torch.float64)

    def _moments(self, side: str) -> tuple[np.ndarray, np.ndarray]:
        n = float(getattr(self, f"{side}_n"))
        if n < 2:
            raise UserError(f"FVD needs at least 2 {side} clips and got {int(n)}")
        mean = getattr(self, f"{side}_sum") / n
        sigma = (getattr(self, f"{side}_outer") - n * torch.outer(mean, mean)) / (n - self.ddof)
        return mean.cpu().numpy(), sigma.cpu().numpy()


class KernelVideoDistance(Metric):
    """KVD as a torchmetrics metric. State: the features, which concatenate across shards.

    Args:
        features: maps uint8 clips (B, T, 3, H, W) to (B, d); None when :meth:`update` is given features.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, features: FeatureExtractor | Callable[[Tensor], Tensor] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.features = features
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")

    def update(self, clips: Tensor, real: bool) -> None:
        """Adds clips, or their features when there is no extractor."""
        x_Bd = self.features(clips) if self.features is not None else clips
        (self.real if real else self.fake).append(x_Bd.double())  # numpy knows no bfloat16

    def compute(self) -> Tensor:
        """The squared distance, float64 scalar."""
        for name, side in (("real", self.real), ("fake", self.fake)):
            if not len(side):
                raise UserError(f"KernelVideoDistance got no {name} clips")
        fake, real = (dim_zero_cat(side).cpu().numpy() for side in (self.fake, self.real))
        return torch.tensor(unbiased_mmd(fake, real), dtype=torch.float64)

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        """A rank without clips has rows of the others' width, since ranks gather states of equal dimensions only."""
        width = torch.tensor([max((x.shape[1] for side in (self.real, self.fake) for x in side), default=0)])
        if torch.distributed.is_initialized():
            width = width.to(self.device)
            torch.distributed.all_reduce(width, torch.distributed.ReduceOp.MAX, kwargs.get("process_group"))
        for side in (self.real, self.fake):
            if isinstance(side, list) and not side:
                side.append(torch.zeros(0, int(width), dtype=torch.float64, device=self.device))
        super()._sync_dist(*args, **kwargs)


class InceptionScore(Metric):
    """Inception Score as a torchmetrics metric. State: sums of probabilities and entropies, which add across shards.

    Args:
        classifier: maps uint8 clips (B, T, 3, H, W) to logits (B, K); None when :meth:`update` is given logits.
        classes: K; taken from ``classifier.dim`` if that exists.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    probability: Tensor
    entropy: Tensor
    count: Tensor

    def __init__(
        self,
        classifier: FeatureExtractor | Callable[[Tensor], Tensor] | None = None,
        *,
        classes: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        classes = classes or getattr(classifier, "dim", None)
        if classes is None:
            raise UserError("InceptionScore needs classes, their number, when the classifier does not say it")
        self.classifier = classifier
        self.add_state("probability", torch.zeros(classes, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("entropy", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, clips: Tensor) -> None:
        """Adds clips, or their logits when there is no classifier."""
        logits = self.classifier(clips) if self.classifier is not None else clips
        p_BK = logits.to(self.probability).softmax(1)
        self.probability = self.probability + p_BK.sum(0)
        self.entropy = self.entropy + torch.special.entr(p_BK).sum()
        self.count = self.count + len(p_BK)

    def compute(self) -> Tensor:
        """The score, float64 scalar."""
        if self.count == 0:
            raise UserError("InceptionScore got no clips")
        mean = self.probability / self.count
        return (torch.special.entr(mean).sum() - self.entropy / self.count).exp()
