"""Kernel video distance: squared MMD of video features with a polynomial kernel, unbiased (Bińkowski et al. 2018).

    k(x, y) = (x·y / d + 1)³

Its expectation does not depend on the number of clips, so it compares sets of different sizes; it can fall below 0.

Shape suffixes: n clips, m reference clips, d features, R resamples, B batch.
"""

import numpy as np

from artv.errors import UserError
from artv_eval.features.base import FeatureExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.fvd import FeatureEvaluator

ROWS = 2048  # of a kernel at a time


def polynomial_kernel(x_nd: np.ndarray, y_md: np.ndarray) -> np.ndarray:
    """(n, m) float64: (x·y / d + 1)³."""
    return (x_nd.astype(np.float64) @ y_md.astype(np.float64).T / x_nd.shape[1] + 1) ** 3


def unbiased_mmd(x_nd: np.ndarray, y_md: np.ndarray) -> float:
    """Squared MMD without the diagonal terms (Gretton et al. 2012, lemma 6)."""
    return float(KernelResampler(x_nd, y_md)(np.arange(len(x_nd))))


def mean_kernel(x_nd: np.ndarray, together: int = 1) -> float:
    """Mean of the kernel over pairs of rows that are of different clips; ``together``: rows of a clip, in a row.

    A few thousand rows at a time, so that memory does not grow with their square.
    """
    n = len(x_nd)
    total = sum(float(polynomial_kernel(x_nd[start : start + ROWS], x_nd).sum()) for start in range(0, n, ROWS))
    own = ((x_nd.astype(np.float64) ** 2).sum(1) / x_nd.shape[1] + 1) ** 3
    if together > 1:
        clips = x_nd.reshape(-1, together, x_nd.shape[1])
        own = np.array([polynomial_kernel(clip, clip).sum() for clip in clips])
    return float((total - own.sum()) / (n * (n - together)))


class KernelResampler:
    """Unbiased squared MMD of many resamples of one set to a fixed reference: the kernels are computed once.

    ``known``: the reference's :func:`mean_kernel`, where that is known already.
    """

    def __init__(self, x_nd: np.ndarray, reference_md: np.ndarray, known: float | None = None):
        m = len(reference_md)
        if len(x_nd) < 2 or m < 2:
            raise UserError(f"KVD needs at least 2 clips on both sides and got {len(x_nd)} and {m}")
        self.own = polynomial_kernel(x_nd, x_nd)
        self.cross = polynomial_kernel(x_nd, reference_md).mean(1)
        self.reference = mean_kernel(reference_md) if known is None else known

    def __call__(self, index_n: np.ndarray) -> float:
        """The distance when the set is ``x[index]``."""
        count = np.bincount(index_n, minlength=len(self.own)).astype(np.float64)
        n = count.sum()
        pairs = count @ self.own @ count - count @ np.diagonal(self.own)
        return float(pairs / (n * (n - 1)) + self.reference - 2 * (count @ self.cross) / n)


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
