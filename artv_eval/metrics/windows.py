"""Set metrics on sliding windows: quality against the place in the clip, for long and auto-regressive videos.

Every window is compared with the window of the reference clips at the same place (``same``), or with those at all
places (``anywhere``: where a late moment may look like any). The metric is the mean over windows, or with ``drift``
the slope over their place, a frame; its curve is the distance at each place.

Shape suffixes: B clips, T frames, K windows, L frames of a window, n clips, m reference clips, D features, R resamples.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from artv.errors import UserError
from artv_eval.api import ClipSet
from artv_eval.features.base import FeatureExtractor, TextImageExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.base import SetEvaluator, slope, to_BTCHW
from artv_eval.metrics.frames import FrameFidEvaluator
from artv_eval.metrics.frechet import FrechetResampler, each, frechet_from_features
from artv_eval.metrics.fvd import FeatureEvaluator
from artv_eval.metrics.kvd import KernelResampler, mean_kernel
from artv_eval.metrics.views import batches

PLACES = ("same", "anywhere")


def window_starts(frames: int, length: int, stride: int) -> list[int]:
    """First frames of the windows that fit. Raises UserError when none does."""
    if length < 1 or stride < 1 or frames < length:
        raise UserError(
            f"windows of {length} frames, one every {stride}: clips have {frames} frames; take windows of at most "
            f"{frames} (length), or longer clips"
        )
    return list(range(0, frames - length + 1, stride))


class WindowEvaluator(SetEvaluator):
    """What metrics on sliding windows share.

    Args:
        length, stride: of the windows, in frames.
        place: ``same`` or ``anywhere``: which windows of the reference clips each is compared with.
        drift: the slope in place of the mean.
    """

    higher_is_better, in_parts = False, True

    def place_windows(self, length: int, stride: int, place: str, drift: bool) -> None:
        """Takes the arguments. Raises UserError for a place that there is not."""
        if place not in PLACES:
            raise UserError(f"place is {place!r}; it must be one of {', '.join(PLACES)}")
        self.length, self.stride, self.place, self.drift = length, stride, place, drift
        self.least_frames = length

    @abstractmethod
    def _windows(self, rows: np.ndarray) -> list[np.ndarray]:
        """Samples of each window, all of one number."""

    @abstractmethod
    def _everywhere(self, rows: np.ndarray) -> np.ndarray:
        """Samples of all places."""

    @abstractmethod
    def _distance(self, ours: np.ndarray, theirs: Any) -> float:
        """Between the samples of one window and what is known of those it is compared with."""

    @abstractmethod
    def _distances(
        self, ours: np.ndarray, theirs: Any, index_Rn: np.ndarray, groups_n: np.ndarray | None
    ) -> np.ndarray:
        """(R,): the same of resampled clips, or of the prompts that ``groups_n`` numbers with all of theirs."""

    def _known(self, samples: np.ndarray, clips: int) -> Any:
        """What is computed once of real samples, which come from so many clips."""
        return samples

    def _pairs(self, rows: np.ndarray, reference: np.ndarray | None) -> list[tuple[np.ndarray, Any]]:
        ours, given = self._windows(rows), self.reference(reference)
        if self.place == "anywhere":
            everywhere = self._known(self._everywhere(given), len(given))
            return [(window, everywhere) for window in ours]
        theirs = self._windows(given)
        if len(ours) != len(theirs):
            raise UserError(f"clips give {len(ours)} windows and reference clips {len(theirs)}: they differ in length")
        return [(window, self._known(real, len(given))) for window, real in zip(ours, theirs, strict=True)]

    def curve_against(self, rows: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """(K,): the distance of each window."""
        return np.array([self._distance(*pair) for pair in self._pairs(rows, reference)])

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """Mean distance over windows, or its slope: above zero = later windows are further from real ones."""
        return float(self._summary(self.curve_against(rows, self.reference(reference))))

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R,): of resampled rows."""
        return self.resample_prompts(rows, reference, index_Rn, None)

    def resample_prompts(
        self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray, groups_n: np.ndarray | None
    ) -> np.ndarray:
        """(R,): of resampled prompts."""
        curves = [self._distances(*pair, index_Rn, groups_n) for pair in self._pairs(rows, reference)]
        return self._summary(np.stack(curves, axis=1))

    def _summary(self, curve: np.ndarray) -> Any:
        return slope(curve) / self.stride if self.drift else curve.mean(-1)


class FeatureWindows(WindowEvaluator, FeatureEvaluator):
    """Windows by features of clips; rows are the features of all windows, (n, K·D).

    Args:
        features, transform: as for FVD. The others: as of :class:`WindowEvaluator`.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        *,
        name: str,
        transform: Transform | None = None,
        length: int = 8,
        stride: int = 4,
        place: str = "same",
        drift: bool = False,
    ):
        super().__init__(features, transform=transform, name=name)
        self.place_windows(length, stride, place, drift)
        self.digest += f"-windows-{length}-{stride}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, K·D) float32."""
        parts = []
        for batch in batches(clips):
            frames = [clip.frames for _, clip in batch]
            starts = {len(each): window_starts(len(each), self.length, self.stride) for each in frames}
            if len(starts) > 1:
                raise UserError(
                    f"clips of one set have {min(starts)} to {max(starts)} frames; give clips of one length"
                )
            windows = [self._window(frames, start) for start in next(iter(starts.values()))]
            parts.append(torch.cat(windows, 1).numpy())
        return np.concatenate(parts)

    def _window(self, frames: Sequence[np.ndarray], start: int) -> torch.Tensor:
        """(B, D): features of one window of a few clips."""
        cut = [np.asarray(each[start : start + self.length]) for each in frames]
        shown = cut if self.transform is None else [self.transform(window) for window in cut]
        return self.features(to_BTCHW(shown)).float().cpu()

    def _windows(self, rows: np.ndarray) -> list[np.ndarray]:
        if rows.shape[1] % self.features.dim:
            raise UserError(f"rows of {rows.shape[1]} numbers are not windows of {self.features.dim} features")
        return np.split(rows, rows.shape[1] // self.features.dim, axis=1)

    def _everywhere(self, rows: np.ndarray) -> np.ndarray:
        """(m·K, D), a clip's windows next to each other."""
        return rows.reshape(-1, self.features.dim)


class WindowFvdEvaluator(FeatureWindows):
    """FVD on sliding windows. ``ddof``: 1 divides covariances by n − 1, 0 by n."""

    def __init__(self, features: FeatureExtractor, *, ddof: int = 1, name: str = "window_fvd", **windows: Any):
        super().__init__(features, name=name, **windows)
        self.ddof = ddof

    def covariance_samples(self, rows: np.ndarray) -> tuple[int, str, int]:
        """The same as of FVD, in each window."""
        return len(rows), "clips", self.features.dim

    def _distance(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        return frechet_from_features(ours, theirs, self.ddof)

    def _distances(
        self, ours: np.ndarray, theirs: np.ndarray, index_Rn: np.ndarray, groups_n: np.ndarray | None
    ) -> np.ndarray:
        return each(FrechetResampler(ours, theirs, self.ddof), index_Rn)


class WindowKvdEvaluator(FeatureWindows):
    """KVD on sliding windows. Of real windows anywhere, two of one clip are no pair: they are not independent."""

    quadratic = True

    def __init__(self, features: FeatureExtractor, *, name: str = "window_kvd", **windows: Any):
        super().__init__(features, name=name, **windows)

    def _known(self, samples: np.ndarray, clips: int) -> tuple[np.ndarray, float]:
        return samples, mean_kernel(samples, len(samples) // clips)

    def _distance(self, ours: np.ndarray, theirs: tuple[np.ndarray, float]) -> float:
        return KernelResampler(ours, *theirs)(np.arange(len(ours)))

    def _distances(
        self, ours: np.ndarray, theirs: tuple[np.ndarray, float], index_Rn: np.ndarray, groups_n: np.ndarray | None
    ) -> np.ndarray:
        return KernelResampler(ours, *theirs, groups_n=groups_n).many(index_Rn)


class WindowFidEvaluator(WindowEvaluator, FrameFidEvaluator):
    """FID of the frames of sliding windows; rows are frame FID's, (n, T·D). Resampling takes whole clips."""

    def __init__(
        self,
        encoder: TextImageExtractor,
        *,
        name: str = "window_frame_fid",
        ddof: int = 1,
        length: int = 8,
        stride: int = 4,
        place: str = "same",
        drift: bool = False,
    ):
        super().__init__(encoder, name=name, ddof=ddof)
        self.place_windows(length, stride, place, drift)

    def covariance_samples(self, rows: np.ndarray) -> tuple[int, str, int]:
        """The same as of FID, in each window."""
        return len(rows) * self.length, "frames", self.encoder.dim

    def _windows(self, rows: np.ndarray) -> list[np.ndarray]:
        frames = rows.reshape(len(rows), -1, self.encoder.dim)
        starts = window_starts(frames.shape[1], self.length, self.stride)
        return [frames[:, start : start + self.length].reshape(-1, self.encoder.dim) for start in starts]

    def _everywhere(self, rows: np.ndarray) -> np.ndarray:
        """(m·T, D): every frame once."""
        return self._frames(rows)

    def _distance(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        return frechet_from_features(ours, theirs, self.ddof)

    def _distances(
        self, ours: np.ndarray, theirs: np.ndarray, index_Rn: np.ndarray, groups_n: np.ndarray | None
    ) -> np.ndarray:
        of_frames = index_Rn[:, :, None] * self.length + np.arange(self.length)
        return each(FrechetResampler(ours, theirs, self.ddof), of_frames.reshape(len(index_Rn), -1))
