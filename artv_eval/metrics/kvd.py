"""Kernel video distance: squared MMD of video features with a polynomial kernel, unbiased (Bińkowski et al. 2018).

    k(x, y) = (x·y / d + 1)³

Its expectation does not depend on the number of clips, so it compares sets of different sizes; it can fall below 0.

Shape suffixes: n clips, m reference clips, d features, R resamples, G prompts, B batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from artv.errors import UserError
from artv_eval.features.base import FeatureExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.clusters import members
from artv_eval.metrics.fvd import FeatureEvaluator

ROWS = 2048  # of a kernel at a time


@dataclass(frozen=True)
class Kernel:
    """``scale`` times the squared MMD under (x·y / d + ``offset``) ** ``degree``; ``biased``: the diagonal counts."""

    degree: int = 3
    offset: float = 1.0
    biased: bool = False
    scale: float = 1.0

    def __call__(self, x_nd: np.ndarray, y_md: np.ndarray) -> np.ndarray:
        """(n, m) float64."""
        found_nm = x_nd.astype(np.float64) @ y_md.astype(np.float64).T
        found_nm /= x_nd.shape[1]
        found_nm += self.offset
        return np.power(found_nm, self.degree, out=found_nm)  # in place: large sets spend their time on new memory

    def mean(self, apart: Any, own: Any, share: float) -> Any:
        """Over pairs, of the mean ``apart`` of those of two clips and the mean ``own`` of those of a clip with itself.

        ``share``: how many of all pairs the latter are. They count where ``biased``.
        """
        return share * own + (1 - share) * apart if self.biased else apart


CUBIC = Kernel()


def polynomial_kernel(x_nd: np.ndarray, y_md: np.ndarray) -> np.ndarray:
    """(n, m) float64: (x·y / d + 1)³."""
    return CUBIC(x_nd, y_md)


def unbiased_mmd(x_nd: np.ndarray, y_md: np.ndarray) -> float:
    """Squared MMD without the diagonal terms (Gretton et al. 2012, lemma 6)."""
    return float(KernelResampler(x_nd, y_md)(np.arange(len(x_nd))))


def mean_kernel(x_nd: np.ndarray, together: int = 1, kernel: Kernel = CUBIC) -> float:
    """Mean of the kernel over pairs of rows that are of different clips; ``together``: rows of a clip, in a row.

    A few thousand rows at a time, so that memory does not grow with their square.
    """
    n = len(x_nd)
    total = sum(float(kernel(x_nd[start : start + ROWS], x_nd).sum()) for start in range(0, n, ROWS))
    own = ((x_nd.astype(np.float64) ** 2).sum(1) / x_nd.shape[1] + kernel.offset) ** kernel.degree
    if together > 1:
        clips = x_nd.reshape(-1, together, x_nd.shape[1])
        own = np.array([kernel(clip, clip).sum() for clip in clips])
    apart = (total - own.sum()) / (n * (n - together))
    return float(kernel.mean(apart, own.sum() / (n * together), together / n))


class KernelResampler:
    """Squared MMD of many resamples of one set to a fixed reference: the kernels are computed once.

    The distance is a mean over pairs of clips, and copies of one clip are no such pair (Hušková and Janssen 1993,
    "Consistency of the generalized bootstrap for degenerate U-statistics"). They would bring in the kernel of a clip
    with itself, far above all others: in 8 dimensions the variance of 20 clips came out 1.5 times as large, of 8 2.6.
    Nor are clips of two copies of one prompt, which are alike: what is resampled are prompts, and the same holds of
    their pairs. The pairs within a copy count once for each; they are a sum over prompts.

    Args:
        known: the reference's :func:`mean_kernel`, where that is known already.
        groups_n: (n,) numbers of the prompts that are resampled with all of their clips; None: each clip is its own.
    """

    def __init__(
        self,
        x_nd: np.ndarray,
        reference_md: np.ndarray,
        known: float | None = None,
        kernel: Kernel = CUBIC,
        groups_n: np.ndarray | None = None,
    ):
        m = len(reference_md)
        if len(x_nd) < 2 or m < 2:
            raise UserError(f"a kernel distance needs at least 2 clips on both sides and got {len(x_nd)} and {m}")
        self.kernel = kernel
        self.own = kernel(x_nd, x_nd)
        self.cross = kernel(x_nd, reference_md).mean(1)
        self.reference = mean_kernel(reference_md, kernel=kernel) if known is None else known
        # of each prompt: a clip, how many there are, the kernel summed over all its pairs and over those of two clips
        self.first_G, self.size_G = np.arange(len(x_nd)), np.ones(len(x_nd))
        self.whole_G, self.within_G = np.diagonal(self.own), np.zeros(len(x_nd))
        if groups_n is not None:
            prompts = members(groups_n)
            self.first_G = np.array([clips[0] for clips in prompts])
            self.size_G = np.array([float(len(clips)) for clips in prompts])
            self.whole_G = np.array([self.own[np.ix_(clips, clips)].sum() for clips in prompts])
            self.within_G = self.whole_G - [self.own[clips, clips].sum() for clips in prompts]

    def __call__(self, index_n: np.ndarray) -> float:
        """The distance when the set is ``x[index]``."""
        return float(self.many([index_n])[0])

    def many(self, index_Rn: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """(R,): the distance for each row of indices."""
        count_Rn = np.stack([np.bincount(index_n, minlength=len(self.own)) for index_n in index_Rn]).astype(np.float64)
        n, own = count_Rn.sum(1), count_Rn @ np.diagonal(self.own) / count_Rn.sum(1)
        copies_RG = count_Rn.take(self.first_G, axis=1)
        total = ((count_Rn @ self.own) * count_Rn).sum(1) - copies_RG**2 @ self.whole_G + copies_RG @ self.within_G
        pairs = n**2 - copies_RG**2 @ self.size_G**2 + copies_RG @ (self.size_G * (self.size_G - 1))
        # of one clip alone there is no pair but with itself
        apart = np.where(pairs > 0, total / np.maximum(pairs, 1), own)
        ours = self.kernel.mean(apart, own, 1 / n)
        return self.kernel.scale * (ours + self.reference - 2 * (count_Rn @ self.cross) / n)


class KvdEvaluator(FeatureEvaluator):
    """KVD in the harness; its rows are FVD's."""

    quadratic, kernel = True, CUBIC

    def __init__(self, features: FeatureExtractor, *, transform: Transform | None = None, name: str = "kvd"):
        super().__init__(features, transform=transform, name=name)
        self._reference: tuple[np.ndarray, float] | None = None  # the last one's, whose kernel is as large as the set

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """The squared MMD to the reference rows."""
        return self._distance(rows, reference)(np.arange(len(rows)))

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R,): of resampled rows, in which copies are no pairs."""
        return self._distance(rows, reference).many(index_Rn)

    def resample_prompts(
        self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray, groups_n: np.ndarray
    ) -> np.ndarray:
        """(R,): of resampled prompts, in which two copies of one are no pairs either."""
        return self._distance(rows, reference, groups_n).many(index_Rn)

    def _distance(
        self, rows: np.ndarray, reference: np.ndarray | None, groups_n: np.ndarray | None = None
    ) -> KernelResampler:
        real = self.reference(reference)
        known = self._reference[1] if self._reference and self._reference[0] is real else None
        distance = KernelResampler(rows, real, known, self.kernel, groups_n)
        self._reference = real, distance.reference
        return distance
