"""Standard error and interval of a metric of a whole set, from half-samples in complementary pairs.

A random half of the clips counts twice, then the other half does (McCarthy 1969's balanced half-samples). Half the
difference of such a pair (odd part) carries no bias and estimates L + 2Q: the variance linear in the sample, and twice
the quadratic one. The mean of the pair (even part) carries the bias and estimates Q. So Var(odd) − Var(even) is the
variance.

**Small n.** Three things beside Student's t, chosen by simulation (``benchmarks/interval_coverage.py``):

- A squared distance varies more the larger it is, so a value that came out low has too small a standard error and
  value ± z·error misses on one side. As in Wilson's interval, the variance is not the one at the value but the one
  midway to the limit. It grows by 4C a unit of the metric, where C, the curvature along the metric's own gradient, is
  Cov(odd², even) / 2 Var(odd): the even part of pairs that move the metric far. A logarithm or a square root of the
  distance would not do: its variance vanishes at the distance that n clips have by chance, not at 0.
- Only the limit that this moves outwards is moved.
- With fewer clips than dimensions a Fréchet distance bends more than a square, so Var(even) exceeds Q, and only the
  share n / (n + 64) of it is taken off. A kernel distance is exactly quadratic (its evaluator says so): all of it.

Several clips of a prompt go together (:mod:`artv_eval.metrics.clusters`): the halves are of prompts, and so is n above,
but not in that share: a covariance is as full as there are clips, however alike those of a prompt are.

Shape suffixes: n clips, M metrics or models, R resamples, P pairs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # the quantile of Student's t

from artv_eval.metrics.clusters import members

CHUNK = 256  # resamples whose indices are held at once
BENT = 64  # clips at which half of Var(even) is taken for Q


def half_samples(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two index arrays (n,): a random half of the clips twice, and the other half twice; an odd clip out is in both."""
    order = rng.permutation(n)
    one, other, rest = order[: n // 2], order[n // 2 : 2 * (n // 2)], order[2 * (n // 2) :]
    return np.concatenate([one, one, rest]), np.concatenate([other, other, rest])


@dataclass(frozen=True)
class Halves:
    """What one metric of one set gives for pairs of half-samples: half the difference, and the mean.

    ``n``: what was halved, clips or prompts; ``clips``: how many clips these are.

    Metrics of the same n with the same ``seed`` see the same halves, so that of a difference of two is the difference
    of both, and covariances follow from what each gave alone: nothing has to be measured together.
    """

    odd: np.ndarray  # (P,)
    even: np.ndarray  # (P,)
    n: int
    clips: int

    @classmethod
    def of(
        cls,
        measure: Callable[[np.ndarray], np.ndarray],
        n: int,
        resamples: int,
        seed: int,
        groups: np.ndarray | None = None,
    ) -> "Halves":
        """``measure``: indices (R, n) → values (R,); ``groups`` (n,): prompts, as ``clusters.as_groups`` has them."""
        rng, own, clips = np.random.default_rng(seed), None if groups is None else members(groups), n
        n = clips if own is None else len(own)
        found = []
        for start in range(0, resamples // 2, CHUNK // 2):
            pairs = [half_samples(n, rng) for _ in range(min(CHUNK // 2, resamples // 2 - start))]
            found.append(_measured(measure, [half for side in zip(*pairs, strict=True) for half in side], own))
        one, other = np.concatenate([part.reshape(2, -1) for part in found], 1)
        return cls((one - other) / 2, (one + other) / 2, n, clips)

    def __sub__(self, other: "Halves") -> "Halves":
        return Halves(self.odd - other.odd, self.even - other.even, self.n, self.clips)


def _measured(
    measure: Callable[[np.ndarray], np.ndarray], halves: Sequence[np.ndarray], own: Sequence[np.ndarray] | None
) -> np.ndarray:
    """Values of half-samples of prompts' clips; where prompts lost some, half-samples differ in size and go by size."""
    if own is None:
        return measure(np.array(halves))
    clips = [np.concatenate([own[prompt] for prompt in half]) for half in halves]
    sizes = np.array([len(index) for index in clips])
    order = np.argsort(sizes, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(sizes[order])) + 1)
    found = np.concatenate([measure(np.array([clips[i] for i in part])) for part in parts])
    return found[np.argsort(order)]


def joint_covariance(halves: Sequence[Halves], quadratic: bool = False) -> np.ndarray:
    """(M, M): covariance over clips of M values that the same n clips give."""
    n = halves[0].n
    odd, even = np.stack([item.odd for item in halves], 1), np.stack([item.even for item in halves], 1)
    linear = odd.T @ odd / len(odd)
    taken = square_share(halves[0].clips, quadratic) * np.atleast_2d(np.cov(even.T))
    # as for one value no variance falls below half of its odd part; one factor for all, so that contrasts add up
    most = np.diag(linear) / np.maximum(2 * np.diag(taken), 1e-300)
    return (linear - min(1.0, float(most.min())) * taken) * n / (2 * (n // 2))


def square_share(clips: int, quadratic: bool) -> float:
    """How much of the even part's variance is the metric's own quadratic part."""
    return 1.0 if quadratic else clips / (clips + BENT)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What the pairs of half-samples say: variances of the odd and the even part, and the curvature C.

    ``n``: what was halved, clips or prompts; ``clips``: how many clips these are.
    """

    n: int
    clips: int
    odd: float
    even: float
    curvature: float

    @classmethod
    def of(cls, measure: Callable[[np.ndarray], np.ndarray], n: int, resamples: int, seed: int) -> "Spread":
        """``measure``: indices (R, n) → values (R,)."""
        return cls.of_halves(Halves.of(measure, n, resamples, seed))

    @classmethod
    def of_halves(cls, halves: Halves) -> "Spread":
        """The spread of pairs that are there."""
        odd, even, n = halves.odd, halves.even, halves.n
        # the odd part is symmetric by construction: its mean is zero
        linear, together = float(np.mean(odd**2)), float(np.cov(odd**2, even)[0, 1])
        return cls(
            n=n,
            clips=halves.clips,
            odd=linear,
            even=float(np.var(even, ddof=1)),
            curvature=together / (2 * linear) if linear > 0 else 0.0,
        )

    def standard_error(self, quadratic: bool = False) -> float:
        """Standard error of the metric; ``quadratic``: it is exactly that in the sample."""
        share = square_share(self.clips, quadratic)
        # L + Q is at least half of L + 2Q: below that it is the noise of few resamples
        variance = max(self.odd - share * self.even, self.odd / 2)
        return float(np.sqrt(variance * self.n / (2 * (self.n // 2))))

    def limits(self, value: float, level: float, quadratic: bool = False) -> tuple[float, float]:
        """Ends of the interval."""
        t = student_t(self.n, level)
        return bent_limits(value, t * self.standard_error(quadratic), t**2 * self.curvature)


def bent_limits(value: float, reach: float, bend: float) -> tuple[float, float]:
    """Where each limit has the variance midway to it: (limit − value)² = reach² + 2 bend (limit − value).

    Only where that is further than ``reach``. ``bend``: the quantile's square times the curvature.
    """
    down, up = min(bend, 0.0), max(bend, 0.0)
    return value + down - float(np.hypot(down, reach)), value + up + float(np.hypot(up, reach))


def student_t(n: int, level: float) -> float:
    """The quantile of a two-sided interval of this level with n − 1 degrees of freedom."""
    return float(stdtrit(n - 1, 0.5 + level / 2))
