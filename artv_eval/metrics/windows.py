"""FVD on sliding windows: quality against the place in the clip, for long and auto-regressive videos.

Every window is compared with the window of the reference clips at the same place (``same``), or with those at all
places (``anywhere``: where a late moment may look like any); the metric is the mean over windows, its curve the
distance at each place.

Shape suffixes: B clips, T frames, K windows, n clips, m reference clips, D features, R resamples.
"""

import numpy as np
import torch

from artv.errors import UserError
from artv_eval.api import ClipSet
from artv_eval.features.base import FeatureExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.base import BATCH, batched, frames_of, slope
from artv_eval.metrics.frechet import FrechetResampler, each, frechet_from_features
from artv_eval.metrics.fvd import FeatureEvaluator

PLACES = ("same", "anywhere")


def window_starts(frames: int, length: int, stride: int) -> list[int]:
    """First frames of the windows that fit. Raises UserError when none does."""
    if length < 1 or stride < 1 or frames < length:
        raise UserError(f"windows of {length} frames, one every {stride}: clips have {frames} frames")
    return list(range(0, frames - length + 1, stride))


class WindowFvdEvaluator(FeatureEvaluator):
    """Sliding-window FVD in the harness; rows are the features of all windows, (n, K·D).

    Args:
        features, transform: as for FVD.
        length, stride: of the windows, in frames.
        ddof: 1 divides covariances by n − 1, 0 by n.
        place: ``same`` or ``anywhere``: which windows of the reference clips each is compared with.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        *,
        transform: Transform | None = None,
        name: str = "window_fvd",
        length: int = 8,
        stride: int = 4,
        ddof: int = 1,
        place: str = "same",
    ):
        super().__init__(features, transform=transform, name=name)
        if place not in PLACES:
            raise UserError(f"place is {place!r}; it must be one of {', '.join(PLACES)}")
        self.length, self.stride, self.ddof, self.place = length, stride, ddof, place
        self.digest += f"-windows-{length}-{stride}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, K·D) float32."""
        parts = []
        for batch in batched(clips, BATCH):
            frames = frames_of(batch, self.transform)
            starts = window_starts(frames.shape[1], self.length, self.stride)
            features = [self.features(frames[:, s : s + self.length].contiguous()).float().cpu() for s in starts]
            parts.append(torch.cat(features, 1).numpy())
        return np.concatenate(parts)

    def _windows(self, rows: np.ndarray) -> list[np.ndarray]:
        if rows.shape[1] % self.features.dim:
            raise UserError(f"rows of {rows.shape[1]} numbers are not windows of {self.features.dim} features")
        return np.split(rows, rows.shape[1] // self.features.dim, axis=1)

    def _pairs(self, rows: np.ndarray, reference: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
        ours, theirs = self._windows(rows), self._windows(self.reference(reference))
        if self.place == "anywhere":
            return [(window, np.concatenate(theirs)) for window in ours]
        if len(ours) != len(theirs):
            raise UserError(f"clips give {len(ours)} windows and reference clips {len(theirs)}: they differ in length")
        return list(zip(ours, theirs, strict=True))

    def covariance_samples(self, rows: np.ndarray) -> tuple[int, str, int]:
        """The same as of FVD, in each window."""
        return len(rows), "clips", self.features.dim

    def curve_against(self, rows: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """(K,): the distance of each window."""
        return np.array([frechet_from_features(x, y, self.ddof) for x, y in self._pairs(rows, reference)])

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """Mean distance over windows."""
        return float(self.curve_against(rows, self.reference(reference)).mean())

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R,): of resampled rows."""
        return self._curves(rows, reference, index_Rn).mean(1)

    def _curves(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R, K)."""
        distances = [FrechetResampler(x, y, self.ddof) for x, y in self._pairs(rows, reference)]
        return np.stack([each(distance, index_Rn) for distance in distances], axis=1)


class WindowFvdDrift(WindowFvdEvaluator):
    """How fast quality falls: slope of the windows' FVD over their place, a frame; its rows are window FVD's."""

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """The slope; above zero = later windows are further from real ones."""
        return float(slope(self.curve_against(rows, self.reference(reference))) / self.stride)

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R,): of resampled rows."""
        return slope(self._curves(rows, reference, index_Rn)) / self.stride
