"""Fréchet distance of two Gaussians (Dowson & Landau 1982) and its fast resampling. Float64 throughout.

    d² = |µ1 − µ2|² + tr(Σ1) + tr(Σ2) − 2 tr (Σ1 Σ2)^½

The last trace is the sum of singular values of A1ᵀA2 for any roots Σ = A Aᵀ. Unlike ``scipy.linalg.sqrtm`` of the
product this needs no invertible matrix, so it stays right with fewer clips than dimensions.

Shape suffixes: n clips, d dimensions, R resamples.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from artv.devices import at_most, cores
from artv.errors import UserError

CORES = min(cores(), 8)
GROUP = 2**21  # numbers that a group of resamples may hold: 16 MiB a core


def frechet_distance(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> float:
    """Squared Fréchet distance from means (d,) and covariances (d, d), singular ones included."""
    mu1, mu2 = np.asarray(mu1, np.float64), np.asarray(mu2, np.float64)
    sigma1, sigma2 = np.asarray(sigma1, np.float64), np.asarray(sigma2, np.float64)
    if mu1.ndim != 1 or mu1.shape != mu2.shape or sigma1.shape != sigma2.shape or sigma1.shape != mu1.shape * 2:
        raise UserError(
            f"means {mu1.shape}, {mu2.shape} and covariances {sigma1.shape}, {sigma2.shape}: "
            "they must be (d,), (d,), (d, d), (d, d)"
        )
    if not all(np.isfinite(x).all() for x in (mu1, mu2, sigma1, sigma2)):
        raise UserError("means and covariances contain NaN or infinity: check the features")
    overlap = np.linalg.svd(root(sigma1).T @ root(sigma2), compute_uv=False).sum()
    return _assemble(mu1 - mu2, float(np.trace(sigma1)), float(np.trace(sigma2)), float(overlap))


def frechet_from_features(x_nd: np.ndarray, y_nd: np.ndarray, ddof: int = 1) -> float:
    """Squared Fréchet distance of two sets of features; ``ddof`` 1 divides the covariance by n − 1, 0 by n."""
    return frechet_distance(*moments(x_nd, ddof), *moments(y_nd, ddof))


def moments(x_nd: np.ndarray, ddof: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and covariance (d, d) in float64."""
    x_nd = np.asarray(x_nd, np.float64)
    if x_nd.ndim != 2 or len(x_nd) < 2:
        raise UserError(f"features of shape {x_nd.shape}: a covariance needs at least 2 clips of d numbers each")
    mean = x_nd.mean(0)
    centred = x_nd - mean
    return mean, centred.T @ centred / (len(x_nd) - ddof)


def root(sigma: np.ndarray) -> np.ndarray:
    """A with A Aᵀ = Σ (d, d). Eigenvalues below the rounding error of the largest count as zero."""
    values, vectors = np.linalg.eigh((sigma + sigma.T) / 2)
    values[values < len(values) * np.finfo(np.float64).eps * max(values[-1], 0)] = 0
    return vectors * np.sqrt(values)


def canonical_rank(x_nd: np.ndarray) -> np.ndarray:
    """(n,): each row's place when rows are sorted, so that a random choice of rows does not depend on their order."""
    rank = np.empty(len(x_nd), int)
    rank[np.lexsort(x_nd.T[::-1])] = np.arange(len(x_nd))
    return rank


def _assemble(gap: np.ndarray, trace1: float, trace2: float, overlap: float) -> float:
    # a squared distance: what lies below zero is rounding
    return max(float(gap @ gap) + trace1 + trace2 - 2 * overlap, 0.0)


class FrechetResampler:
    """Fréchet distance of many resamples of one feature set to a fixed reference.

    With the reference's root A, only the weighted Gram matrix of the projected features X A changes, so a resample
    costs one symmetric product and its eigenvalues (the sum of their square roots is tr (Σ1 Σ2)^½). Resamples go
    through in groups, so that small ones do not spend their time between operations.

    Args:
        x_nd: features to resample.
        reference_nd: features of the reference.
        ddof: 1 or 0, as in :func:`moments`.
    """

    def __init__(self, x_nd: np.ndarray, reference_nd: np.ndarray, ddof: int = 1):
        self.mean, sigma = moments(reference_nd, ddof)
        self.trace, self.ddof = float(np.trace(sigma)), ddof
        # differences from the reference's mean: small numbers, no cancellation later
        x = np.asarray(x_nd, np.float64) - self.mean
        self.x, self.squares = torch.from_numpy(x), torch.from_numpy((x**2).sum(1))
        self.projected = torch.from_numpy(x @ root(sigma))

    def __call__(self, index_n: np.ndarray) -> float:
        """The distance when the feature set is ``x[index]``."""
        return float(self.many([index_n])[0])

    def many(self, index_Rn: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """(R,): the distance for each row of indices."""
        counts = np.stack([np.bincount(index_n, minlength=len(self.x)) for index_n in index_Rn])
        # a resample leaves clips out (half-samples one half): only those that are in it are multiplied
        in_use = int((counts > 0).sum(1).max())
        weight_RK, row_RK = torch.from_numpy(counts).double().topk(in_use, sorted=False)
        n_R1 = weight_RK.sum(1, keepdim=True)
        counts_Rn = torch.from_numpy(counts).double()
        gap_Rd = counts_Rn @ self.x / n_R1
        trace_R = (counts_Rn @ self.squares - n_R1[:, 0] * (gap_Rd**2).sum(1)) / (n_R1[:, 0] - self.ddof)
        y_RKd = self.projected[row_RK]
        y_RKd -= (weight_RK / n_R1)[:, None] @ y_RKd
        y_RKd *= (weight_RK / (n_R1 - self.ddof)).sqrt()[..., None]
        # both products have the same eigenvalues apart from zeros: take the smaller
        wide = y_RKd.shape[1] < y_RKd.shape[2]
        values = torch.linalg.eigvalsh(y_RKd @ y_RKd.mT if wide else y_RKd.mT @ y_RKd)
        overlap_R = values.clamp(min=0).sqrt().sum(1)
        distance_R = (gap_Rd**2).sum(1) + trace_R + self.trace - 2 * overlap_R
        return distance_R.clamp(min=0).numpy()  # a squared distance: what lies below zero is rounding


def each(distance: FrechetResampler, index_Rn: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """(R,): the distance of every resample, some groups at a time, each on one core.

    Matrices this small gain little from several, and on a busy machine the cores wait for each other.
    """
    size = max(1, min(GROUP // distance.projected.numel(), -(-len(index_Rn) // CORES)))
    groups = [index_Rn[start : start + size] for start in range(0, len(index_Rn), size)]
    with at_most(1), ThreadPoolExecutor(CORES) as pool:
        return np.concatenate(list(pool.map(distance.many, groups)))
