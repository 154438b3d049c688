"""FVD at infinitely many clips: the finite-sample bias taken out by extrapolation over 1/n (Chong & Forsyth 2020).

The bias is c/n to first order. We estimate c from halves of both sets, always with their complements: what one half has
too much the other has too little, so the mean of the two carries the bias and little of the noise. FID∞ fits a line
through random subsets instead; on Gaussian features the halves gave the same mean with a smaller spread.

Shape suffixes: n generated clips, m reference clips, d features, R resamples.
"""

import numpy as np

from artv.devices import at_most
from artv.errors import UserError
from artv_eval.features.base import FeatureExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.frechet import FrechetResampler, canonical_rank
from artv_eval.metrics.fvd import FvdEvaluator

CLIPS_A_DIMENSION = 4  # at 8 the bias that is left is below the noise, at 2 it is several times the noise


class Extrapolator:
    """Extrapolates the distance of any subset of ``x`` to a fixed reference.

    Args:
        x_nd, reference_md: features, at least 4 clips each.
        ddof: as in :func:`~artv_eval.metrics.frechet.moments`.
        pairs: complementary halves to average over.
        seed: of the halves.
    """

    def __init__(self, x_nd: np.ndarray, reference_md: np.ndarray, *, ddof: int = 1, pairs: int = 8, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.full = FrechetResampler(x_nd, reference_md, ddof)
        self.rank = canonical_rank(x_nd)
        reference_md = reference_md[np.argsort(canonical_rank(reference_md))]
        self.halves = []
        for _ in range(pairs):
            order = self.rng.permutation(len(reference_md))
            half = len(order) // 2
            for part in (order[:half], order[half : 2 * half]):
                self.halves.append(FrechetResampler(x_nd, reference_md[part], ddof))

    def __call__(self, index_n: np.ndarray) -> float:
        """The distance of the distinct clips among ``x[index]``, extrapolated; near 0 noise can take it below 0."""
        distinct = np.unique(index_n)
        distinct = distinct[np.argsort(self.rank[distinct])]
        value, half, halved = self.full(distinct), len(distinct) // 2, []
        for first, second in zip(self.halves[::2], self.halves[1::2], strict=True):
            order = self.rng.permutation(distinct)
            halved += [first(order[:half]), second(order[half : 2 * half])]
        # 1/n goes from 1/n to 1/half: follow the line back to 0
        return value - (float(np.mean(halved)) - value) / (len(distinct) / half - 1)


def extrapolate(x_nd: np.ndarray, reference_md: np.ndarray, *, ddof: int = 1, pairs: int = 8, seed: int = 0) -> float:
    """Fréchet distance extrapolated to infinitely many clips of both sets; noise can take it below 0.

    Good for n, m ≥ 8 d; with fewer clips the bias bends away from the line and the value comes out too low.
    """
    return Extrapolator(x_nd, reference_md, ddof=ddof, pairs=pairs, seed=seed)(np.arange(len(x_nd)))


class FvdInfinityEvaluator(FvdEvaluator):
    """FVD extrapolated to infinitely many clips of both sets; its rows are FVD's."""

    def __init__(
        self,
        features: FeatureExtractor,
        *,
        transform: Transform | None = None,
        name: str = "fvd_infinity",
        ddof: int = 1,
        pairs: int = 8,
    ):
        super().__init__(features, transform=transform, name=name, ddof=ddof)
        self.pairs = pairs

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """The extrapolated distance. Raises UserError with fewer clips than the line holds for."""
        fewest, needed = min(len(rows), len(self.reference(reference))), CLIPS_A_DIMENSION * rows.shape[1]
        if fewest < needed:
            raise UserError(
                f"{self.name} needs {needed} clips on both sides ({CLIPS_A_DIMENSION} for each of {rows.shape[1]} "
                f"features) and has {fewest}; with fewer it comes out too low: use kvd, which has no bias"
            )
        return extrapolate(rows, self.reference(reference), ddof=self.ddof, pairs=self.pairs)

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R,): extrapolated from the distinct clips of each resample (a clip twice would look like less spread)."""
        distance = Extrapolator(rows, self.reference(reference), ddof=self.ddof, pairs=2)
        with at_most(1):  # in order, since each draws its own halves
            return np.array([distance(index) for index in index_Rn])
