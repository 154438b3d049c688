"""Fréchet video distance (Unterthiner et al. 2018): Fréchet distance of video features of generated and real clips.

Shape suffixes: B clips, T frames, C channels, H W pixels, D feature dimensions, n clips, R resamples.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from artv.errors import UserError
from artv_eval.api import ClipSet
from artv_eval.features.base import FeatureExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.base import BATCH, SetEvaluator, batched, frames_of
from artv_eval.metrics.frechet import FrechetResampler, canonical_rank, frechet_distance, frechet_from_features
from artv_eval.reference_rows import shipped


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


class FeatureEvaluator(SetEvaluator):
    """A set metric over video features; rows are features, float32 (n, D).

    Args:
        features: the extractor.
        transform: applied to every clip before it.
        name: as shown in tables.
    """

    higher_is_better = False

    def __init__(self, features: FeatureExtractor, *, transform: Transform | None = None, name: str):
        self.features, self.transform, self.name = features, transform, name
        self.digest = f"features-{features.name}-{features.digest}"
        if transform is not None:
            self.digest += f"-{transform.model_dump_json(exclude_defaults=True)}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """Features of every clip, (n, D) float32; those of the shapes protocol's reference ship with the package."""
        if (known := shipped(clips, self.digest)) is not None:
            return known
        batches = batched(clips, BATCH)
        parts = [self.features(frames_of(batch, self.transform)).float().cpu().numpy() for batch in batches]
        if not parts:
            raise UserError("no clips to score")
        return np.concatenate(parts)


class FvdEvaluator(FeatureEvaluator):
    """FVD in the harness.

    Args:
        features, transform, name: as in :class:`FeatureEvaluator`.
        ddof: as in :class:`FrechetVideoDistance`.
        subset, repeats: if given, the mean over so many random subsets of that size (VideoPoet: 20 of 2048).
    """

    def __init__(
        self,
        features: FeatureExtractor,
        *,
        transform: Transform | None = None,
        name: str = "fvd",
        ddof: int = 1,
        subset: int | None = None,
        repeats: int = 1,
    ):
        super().__init__(features, transform=transform, name=name)
        self.ddof, self.subset, self.repeats = ddof, subset, repeats

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """Fréchet distance of the rows to the reference rows."""
        if self.subset is None:
            return frechet_from_features(rows, self.reference(reference), self.ddof)
        distance = FrechetResampler(rows, self.reference(reference), self.ddof)
        order = np.argsort(canonical_rank(rows))
        return float(np.mean([distance(index) for index in self._subsets(order)]))

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R,): as :meth:`evaluate` of resampled rows, an order of magnitude faster."""
        distance = FrechetResampler(rows, self.reference(reference), self.ddof)
        if self.subset is None:
            return np.array([distance(index) for index in index_Rn])
        return np.array([np.mean([distance(part) for part in self._subsets(index)]) for index in index_Rn])

    def _subsets(self, index_n: np.ndarray) -> list[np.ndarray]:
        if self.subset is None or self.subset > len(index_n):
            raise UserError(f"FVD over subsets of {self.subset} clips needs at least as many and got {len(index_n)}")
        rng = np.random.default_rng(0)
        return [rng.permutation(index_n)[: self.subset] for _ in range(self.repeats)]
