"""Fréchet video distance (Unterthiner et al. 2018): Fréchet distance of video features of generated and real clips.

Shape suffixes: B clips, T frames, C channels, H W pixels, D feature dimensions, n clips, R resamples.
"""

import numpy as np

from artv.errors import UserError
from artv_eval.api import ClipSet
from artv_eval.features.base import FeatureExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.base import SetEvaluator
from artv_eval.metrics.frechet import FrechetResampler, canonical_rank, each, frechet_from_features
from artv_eval.metrics.reference_rows import shipped
from artv_eval.metrics.whole import whole_for


class FeatureEvaluator(SetEvaluator):
    """A set metric over video features; rows are features, float32 (n, D).

    Args:
        features: the extractor.
        transform: applied to every clip before it.
        name: as shown in tables.
    """

    higher_is_better, in_parts = False, True
    first: int | None = None
    """Clips of so many prompts count, the first ones; None: all."""

    def __init__(self, features: FeatureExtractor, *, transform: Transform | None = None, name: str):
        self.features, self.transform, self.name = features, transform, name
        self.digest = f"features-{features.name}-{features.digest}"
        if transform is not None:
            self.digest += f"-{transform.model_dump_json(exclude_defaults=True)}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """Features of every clip, (n, D) float32; those of the shapes protocol's reference ship with the package."""
        if (known := shipped(clips, self.digest)) is not None:
            return known
        taken = whole_for(self.features, clips, self.transform)
        return np.concatenate([self.features(clip).float().cpu().numpy() for _, clip in taken])


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
            return each(distance, index_Rn)
        return np.array([each(distance, self._subsets(index)).mean() for index in index_Rn])

    def covariance_samples(self, rows: np.ndarray) -> tuple[int, str, int]:
        """How many samples describe the covariance, what they are, and its dimensions."""
        return self.subset or len(rows), "clips", rows.shape[1]

    def _subsets(self, index_n: np.ndarray) -> list[np.ndarray]:
        if self.subset is None or self.subset > len(index_n):
            raise UserError(f"FVD over subsets of {self.subset} clips needs at least as many and got {len(index_n)}")
        rng = np.random.default_rng(0)
        return [rng.permutation(index_n)[: self.subset] for _ in range(self.repeats)]
