"""Kernel video distance: squared MMD of video features with a polynomial kernel, unbiased (Bińkowski et al. 2018).

    k(x, y) = (x·y / d + 1)³

Its expectation does not depend on the number of clips, so it compares sets of different sizes; it can fall below 0.

Shape suffixes: n clips, m reference clips, d features, R resamples, B batch.
"""

from dataclasses import dataclass

import numpy as np

from artv.errors import UserError
from artv_eval.features.base import FeatureExtractor
from artv_eval.features.preprocess import Transform
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
        product = x_nd.astype(np.float64) @ y_md.astype(np.float64).T
        return (product / x_nd.shape[1] + self.offset) ** self.degree

    def mean(self, total: float, own: float, n: float, together: int = 1) -> float:
        """Over the pairs of n rows, of the sums over all of them and over those of a clip with itself."""
        return total / n**2 if self.biased else (total - own) / (n * (n - together))


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
    return float(kernel.mean(total, own.sum(), n, together))


class KernelResampler:
    """Squared MMD of many resamples of one set to a fixed reference: the kernels are computed once.

    ``known``: the reference's :func:`mean_kernel`, where that is known already.
    """

    def __init__(self, x_nd: np.ndarray, reference_md: np.ndarray, known: float | None = None, kernel: Kernel = CUBIC):
        m = len(reference_md)
        if len(x_nd) < 2 or m < 2:
            raise UserError(f"a kernel distance needs at least 2 clips on both sides and got {len(x_nd)} and {m}")
        self.kernel = kernel
        self.own = kernel(x_nd, x_nd)
        self.cross = kernel(x_nd, reference_md).mean(1)
        self.reference = mean_kernel(reference_md, kernel=kernel) if known is None else known

    def __call__(self, index_n: np.ndarray) -> float:
        """The distance when the set is ``x[index]``."""
        count = np.bincount(index_n, minlength=len(self.own)).astype(np.float64)
        n = count.sum()
        own = self.kernel.mean(count @ self.own @ count, count @ np.diagonal(self.own), n)
        return self.kernel.scale * float(own + self.reference - 2 * (count @ self.cross) / n)


class KvdEvaluator(FeatureEvaluator):
    """KVD in the harness; its rows are FVD's."""

    quadratic = True

    def __init__(self, features: FeatureExtractor, *, transform: Transform | None = None, name: str = "kvd"):
        super().__init__(features, transform=transform, name=name)

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """The unbiased squared MMD."""
        return unbiased_mmd(rows, self.reference(reference))

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R,): of resampled rows."""
        distance = KernelResampler(rows, self.reference(reference))
        return np.array([distance(index) for index in index_Rn])
