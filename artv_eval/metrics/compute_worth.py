"""What a component is worth in training: how many times as long one trains without it to come to the same value.

Both sides are trained for several lengths under several seeds. With g a metric of a model trained for C steps,

    g_a(C) = α + β log C        g_b(C) = g_a(C / k)        so that        log k = −(g_b − g_a) / β

where g is the logarithm of a positive metric (a power law is then exactly such a line) and the metric itself where it
may be 0 or below. Each seed gives a difference d, the mean over lengths of g_b − g_a, and a slope β, by least squares
over both sides. log k is the ratio of two means over seeds, with Fieller's (1954) interval: the θ for which the mean of
d + θ β is not told from 0 at Student's t with S − 1 degrees of freedom. Where the slope itself is not told from 0, no
finite interval exists, and none is given.

The variance of those means is that of :mod:`artv_eval.metrics.training_seeds`: between seeds, and over the clips that
all seeds share. Shape suffixes: M models, S seeds, L lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from artv.errors import UserError
from artv_eval.metrics.training_seeds import Measured

MOST = 1000  # times, either way: what lies further is extrapolated out of all reason


@dataclass(frozen=True, kw_only=True)
class Worth:
    """``times``: b needs so many times the training of a; ``low`` to ``high`` at ``level``, None where not bounded.

    ``at``: (length, times by the difference at this length alone): where these are far apart one number says little.
    """

    times: float
    low: float | None
    high: float | None
    seeds: int
    level: float
    logarithm: bool
    at: tuple[tuple[int, float], ...] = ()

    def text(self, a: str, b: str, metric: str) -> str:
        """``b takes 2.9 [2.1, 4.4] times the training of a to the same fvd (3.1 at 1000 steps, …)``."""
        if self.low is None or self.high is None:
            why = f"{self.seeds} seeds do not tell that training changes the value"
        elif self.low < 1 / MOST or self.high > MOST:
            why = f"its interval reaches beyond {1 / MOST:g} or {MOST:g}, further than trainings can say"
        else:
            each = ", ".join(f"{value:.2g} at {steps} steps" for steps, value in self.at)
            times = f"{self.times:.2g} [{self.low:.2g}, {self.high:.2g}] times"
            return f"{b} takes {times} the training of {a} to the same {metric} ({each})"
        return f"how many times the training of {a} it takes {b} to come to the same {metric} is not told: {why}"


def worth(found: Measured, lengths: Sequence[int], seeds: int, *, level: float = 0.95) -> Worth:
    """The worth of what a has and b lacks, from models in the order side (a, b), length, seed.

    Raises:
        UserError: fewer than 2 lengths or 2 seeds, or a metric that does not change with training.
    """
    L = len(lengths)
    if L < 2 or seeds < 2 or len(found.values) != 2 * L * seeds:
        raise UserError(f"{L} lengths × {seeds} seeds: what a component is worth in training takes at least 2 × 2")
    gap_2L, slope_2L = _weights(lengths)
    each = np.eye(seeds)
    weights = np.concatenate([np.kron(gap_2L, each), np.kron(slope_2L, each)])
    logarithm, found = _scaled(found)
    gaps_L = np.diff(found.values.reshape(2, L, seeds).mean(-1), axis=0)[0]
    return _worth(*_mean_and_variance(found.combined(weights), seeds), seeds, level, logarithm, lengths, gaps_L)


def worth_of_means(means: Measured, lengths: Sequence[int], seeds: int, *, level: float = 0.95) -> Worth:
    """The same where only means over ``seeds`` trainings are known: side (a, b), length; the covariance is of these.

    Raises:
        UserError: as :func:`worth`.
    """
    if len(lengths) < 2 or seeds < 2:
        raise UserError(f"{len(lengths)} lengths × {seeds} seeds: it takes at least 2 × 2")
    logarithm, means = _scaled(means)
    found = means.combined(np.stack(_weights(lengths)))
    gaps_L = np.diff(means.values.reshape(2, -1), axis=0)[0]
    return _worth(found.values, found.covariance, seeds, level, logarithm, lengths, gaps_L)


def _weights(lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(2L,) each, over side and length: the mean of b − a, and the slope in log length of both sides together."""
    L, at = len(lengths), np.log(np.asarray(lengths, np.float64))
    slope_L = (at - at.mean()) / ((at - at.mean()) ** 2).sum()
    return np.repeat([-1 / L, 1 / L], L), np.tile(slope_L / 2, 2)


def _scaled(found: Measured) -> tuple[bool, Measured]:
    """Logarithms of a metric that is positive throughout, and whether it is."""
    logarithm = bool((found.values > 0).all())
    return logarithm, _logarithms(found) if logarithm else found


def _worth(
    means: np.ndarray,
    V: np.ndarray,
    seeds: int,
    level: float,
    logarithm: bool,
    lengths: Sequence[int],
    gaps_L: np.ndarray,
) -> Worth:
    """From the mean difference and slope (2,), their variance (2, 2), and the difference at each length."""
    d, b = means
    if b == 0:
        raise UserError("the metric does not change with training, so nothing is worth any of it")
    low, high = _fieller(d, b, V, float(stdtrit(seeds - 1, 0.5 + level / 2)))
    with np.errstate(over="ignore"):  # where training hardly changes the metric: endlessly many times
        limits = (None, None) if low is None or high is None else (float(np.exp(low)), float(np.exp(high)))
        return Worth(
            times=float(np.exp(-d / b)), low=limits[0], high=limits[1], seeds=seeds, level=level, logarithm=logarithm,
            at=tuple(zip(lengths, np.exp(-gaps_L / b).tolist(), strict=True)),
        )  # fmt: skip


def _logarithms(found: Measured) -> Measured:
    """Logarithms of the values (M,), with their covariance to first order."""
    return Measured(np.log(found.values), found.covariance / np.outer(found.values, found.values), found.n)


def _mean_and_variance(both: Measured, S: int) -> tuple[np.ndarray, np.ndarray]:
    """(2,), (2, 2): the mean difference and slope over seeds; their variance, between seeds and over shared clips."""
    values_2S = both.values.reshape(2, S)
    between = np.cov(values_2S) / S
    blocks = both.covariance.reshape(2, S, 2, S)
    shared = (blocks.sum((1, 3)) - np.einsum("isjs->ij", blocks)) / (S * (S - 1))
    return values_2S.mean(1), between + shared * (np.linalg.eigvalsh(shared).min() > 0)


def _fieller(d: float, b: float, V: np.ndarray, t: float) -> tuple[float, float] | tuple[None, None]:
    """Ends of the θ with (d + θ b)² ≤ t² (V_dd + 2 θ V_db + θ² V_bb)."""
    square = b**2 - t**2 * V[1, 1]
    linear = d * b - t**2 * V[0, 1]
    rest = linear**2 - square * (d**2 - t**2 * V[0, 0])
    if square <= 0:
        return None, None
    reach = np.sqrt(max(rest, 0.0))  # below 0 by rounding only, where the slope is told from 0
    return (-linear - reach) / square, (-linear + reach) / square
