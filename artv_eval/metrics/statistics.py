"""Intervals and paired tests by resampling clips.

**Metrics that are a mean over clips**: percentile bootstrap with the levels widened for small n (Hesterberg 2015,
"What teachers should know about the bootstrap", sec. 5.3). Paired differences are tested by flips of their signs, exact
where they are symmetric, and by Johnson's modified t (1978), which holds where they are skewed: the larger p counts.
``benchmarks/paired_test_size.py`` measures how often that rejects equal cells.

**Metrics of a whole set** (Fréchet and kernel distances, Inception Score). A resampled Fréchet distance is biased
upwards (it adds the finite-sample bias a second time), and its spread is too wide as well: the part of the distance
that is quadratic in the sample counts twice in the resample's linear part and once more in its quadratic part. So
percentiles are wrong in both respects. We use complementary half-samples: :mod:`artv_eval.metrics.half_samples`.
The interval covers the metric's expectation at this n, with the reference set held fixed as the protocol fixes it.
``benchmarks/interval_coverage.py`` measures the coverage.

**Several clips of a prompt.** ``groups`` says which clips are of one prompt: then prompts are resampled, halved and
flipped, each with all of its clips (:mod:`artv_eval.metrics.clusters`).

Shape suffixes: n clips, d numbers a clip, R resamples, G prompts (n where each clip is its own).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist

import numpy as np
from scipy.special import stdtr, stdtrit  # Student's t: its distribution and its quantile

from artv.errors import UserError, counted
from artv_eval.api import Evaluator
from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.metrics.clusters import Totals, as_groups
from artv_eval.metrics.half_samples import CHUNK, Halves, Spread, student_t

SKEWED = 20
"""Pairs from which on the paired test of means holds its level within 2 points where differences are lognormal."""

FEWEST = 6
"""Pairs from which on a difference can have p < 0.05: of n signs, 2 of 2^n patterns are as one-sided as all alike."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with its interval. ``n``: clips that count; ``standard_error`` of the value; ``method`` in words.

    ``prompts``: how many the interval is over, where clips of one go together.
    """

    value: float
    low: float
    high: float
    n: int
    level: float
    standard_error: float
    method: str
    prompts: int | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``difference`` = a − b on shared clips, its interval, and the p-value of no difference (two-sided)."""

    difference: float
    low: float
    high: float
    p_value: float
    n: int
    level: float
    standard_error: float
    method: str
    prompts: int | None = None
    skewness: float | None = None

    @property
    def caveat(self) -> str | None:
        """Why ``p_value`` may be too small, in one line."""
        n = self.n if self.prompts is None else self.prompts
        return None if self.skewness is None else few_pairs(n) or skewed_pairs(n, self.skewness)


@dataclass(frozen=True)
class SetValue:
    """A metric of a whole set with what its half-samples gave: all that intervals and tests need of it."""

    value: float
    halves: Halves
    prompts: int | None = None


def set_value(
    evaluator: Evaluator,
    rows: np.ndarray,
    reference: np.ndarray | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> SetValue:
    """The expensive part of every statement about a metric of a whole set: made once for each set of ``rows``."""
    value, together = float(evaluator.evaluate(rows, reference)), None if groups is None else as_groups(groups)

    def measure(index_Rn: np.ndarray) -> np.ndarray:
        if not np.isfinite(value):  # nothing can be said of how it varies
            return np.full(len(index_Rn), np.nan)
        return resample(evaluator, rows, reference, index_Rn, together)

    halves = Halves.of(measure, len(rows), resamples, seed, together)
    return SetValue(value, halves, None if together is None else halves.n)


def mean_interval(
    values: np.ndarray,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of the mean of one value a clip, (n,), of those that are not NaN; ``groups`` as below."""
    values, together = _defined(values, groups)
    check_rows(values, resamples, level)
    totals = Totals.of(values, together)
    low, high = _mean_interval(totals, resamples, level, seed)
    return Interval(
        value=float(values.mean()),
        low=low,
        high=high,
        n=len(values),
        level=level,
        standard_error=totals.standard_error(),
        method="percentile bootstrap",
        prompts=None if together is None else len(totals.sums),
    )


def bootstrap_interval(
    evaluator: Evaluator,
    rows: np.ndarray,
    reference: np.ndarray | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    known: SetValue | None = None,
) -> Interval:
    """Interval of a metric over clips ``rows`` (n, d). See the module's text for what it covers.

    Args:
        groups: (n,) what the clips of one prompt share; None: every clip is by itself.
        known: of a metric of a whole set, what :func:`set_value` gave for these rows, if it is there.
    """
    check_rows(rows, resamples, level)
    values = per_clip(evaluator, rows)
    if values is not None:
        return mean_interval(values, groups=groups, resamples=resamples, level=level, seed=seed)
    known = known or set_value(evaluator, rows, reference, groups=groups, resamples=resamples, seed=seed)
    spread = Spread.of_halves(known.halves)
    quadratic = optional(evaluator, EvaluatorExtras, "quadratic")
    low, high = spread.limits(known.value, level, quadratic)
    return Interval(
        value=known.value,
        low=low,
        high=high,
        n=len(rows),
        level=level,
        standard_error=spread.standard_error(quadratic),
        method="complementary half-samples",
        prompts=known.prompts,
    )


def paired_test(
    evaluator: Evaluator,
    rows_a: np.ndarray,
    rows_b: np.ndarray,
    reference: np.ndarray | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    known: tuple[SetValue, SetValue] | None = None,
) -> Comparison:
    """Two cells on the same prompts and seeds: row i of both comes from the same request.

    ``groups``, ``known``: as of :func:`bootstrap_interval`, the latter of both.
    """
    if len(rows_a) != len(rows_b):
        raise UserError(f"a paired test needs the same clips in both cells; they have {len(rows_a)} and {len(rows_b)}")
    check_rows(rows_a, resamples, level)
    a, b = per_clip(evaluator, rows_a), per_clip(evaluator, rows_b)
    if a is not None and b is not None:
        return paired_means(a - b, groups=groups, resamples=resamples, level=level, seed=seed)
    one, other = known or (
        set_value(evaluator, rows, reference, groups=groups, resamples=resamples, seed=seed)
        for rows in (rows_a, rows_b)
    )
    value, spread = one.value - other.value, Spread.of_halves(one.halves - other.halves)
    n = spread.n
    error = spread.standard_error(optional(evaluator, EvaluatorExtras, "quadratic"))
    margin = student_t(n, level) * error
    return Comparison(
        difference=value,
        low=value - margin,
        high=value + margin,
        n=len(rows_a),
        level=level,
        standard_error=error,
        p_value=2 * float(stdtr(n - 1, -abs(value) / error)) if error > 0 else float(value == 0),
        method="paired half-samples",
        prompts=one.prompts,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979), in the order given; NaN stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [float("nan")] * len(p_values)
    order = sorted((p, i) for i, p in enumerate(p_values) if not np.isnan(p))
    worst = 0.0
    for rank, (p, i) in enumerate(order):
        worst = max(worst, min((len(order) - rank) * p, 1.0))
        adjusted[i] = worst
    return adjusted


def _defined(values_n: np.ndarray, groups: Sequence[Hashable] | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The values that are numbers, and the prompt of each."""
    there = ~np.isnan(values_n)
    together = None
    if groups is not None:
        together = as_groups([key for key, is_there in zip(groups, there, strict=True) if is_there])
    return values_n[there], together


def _mean_interval(totals: Totals, resamples: int, level: float, seed: int) -> tuple[float, float]:
    rng, G = np.random.default_rng(seed), len(totals.sums)
    sizes = [min(CHUNK, resamples - start) for start in range(0, resamples, CHUNK)]
    means = np.concatenate([totals.means(rng.integers(G, size=(size, G))) for size in sizes])
    tail = small_sample_tail(G, (1 - level) / 2)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def small_sample_tail(n: int, tail: float) -> float:
    """The percentile to read off, so that a normal sample of n gets the width of Student's t (Hesterberg, eq. 5)."""
    return NormalDist().cdf(np.sqrt(n / (n - 1)) * float(stdtrit(n - 1, tail)))


def paired_means(
    difference_n: np.ndarray,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """The mean of differences clip by clip, (n,); those that are NaN do not count. ``groups`` as for an interval."""
    difference_n, together = _defined(difference_n, groups)
    check_rows(difference_n, resamples, level)
    totals = Totals.of(difference_n, together)
    low, high = _mean_interval(totals, resamples, level, seed)
    return Comparison(
        difference=float(difference_n.mean()),
        low=low,
        high=high,
        p_value=mean_difference_p(totals.each(), seed=seed),
        n=len(difference_n),
        level=level,
        standard_error=totals.standard_error(),
        method="sign flips and Johnson's t",
        prompts=None if together is None else len(totals.sums),
        skewness=skewness(totals.each()),
    )


def skewness(values_n: np.ndarray) -> float:
    """Third standardised moment; 0 where all values are the same."""
    centred, spread = values_n - values_n.mean(), float(values_n.std())
    return float((centred**3).mean() / spread**3) if spread > 1e-12 * float(np.abs(values_n).max()) else 0.0


def few_pairs(n: int) -> str | None:
    """Why the p-value of n differences may be too small, or None.

    Whether they *look* skewed says nothing: equal cells that are told apart are those whose few differences happen to
    lie on one side. Of lognormal ones at n = 13, 24 % have a skewness above 2, of those that are told apart 0.4 %.
    """
    if n >= SKEWED:
        return None
    return (
        f"p < 0.05 comes in up to 10 % of equal cells where differences of single clips are as skewed as a lognormal, "
        f"which fewer than {SKEWED} pairs need not show"
    )


def skewed_pairs(n: int, skewness: float) -> str | None:
    """Why the p-value of n differences that look skewed may be too small, or None: Cochran's rule, n > 25 g² (1977)."""
    if n > 25 * skewness**2:
        return None
    return (
        "p < 0.05 may come in more than 7 % of equal cells: differences of single clips look skewed "
        "(n is not above 25 times their skewness squared)"
    )


def sign_flip_p(difference_n: np.ndarray, *, flips: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of paired differences having a symmetric distribution around 0 (exact up to n = 12)."""
    n = len(difference_n)
    observed = abs(difference_n.mean()) * (1 - 1e-12)
    if n <= 12:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
        return float((np.abs(signs @ difference_n / n) >= observed).mean())
    rng, hits = np.random.default_rng(seed), 0
    for start in range(0, flips, CHUNK):
        signs = rng.choice((1.0, -1.0), size=(min(CHUNK, flips - start), n))
        hits += int((np.abs(signs @ difference_n / n) >= observed).sum())
    return (hits + 1) / (flips + 1)


def johnson_p(difference_n: np.ndarray) -> float:
    """Two-sided p-value of paired differences having mean 0, however skewed: Johnson's modified t (1978, eq. 2.2).

    The third central moment moves the mean by what skewness does to it; then Student's t.
    """
    n, mean, spread = len(difference_n), float(difference_n.mean()), float(difference_n.std(ddof=1))
    if spread <= 1e-12 * abs(mean) or spread == 0:
        return float(mean == 0)
    third = float(((difference_n - mean) ** 3).mean())
    moved = mean + third / (6 * n * spread**2) + third * mean**2 / (3 * spread**4)
    return 2 * float(stdtr(n - 1, -abs(moved) * np.sqrt(n) / spread))


def mean_difference_p(difference_n: np.ndarray, *, flips: int = 10_000, seed: int = 0) -> float:
    """The larger of the p-values by sign flips and by Johnson's t: sign flips alone reject skewed ones too often."""
    return max(sign_flip_p(difference_n, flips=flips, seed=seed), johnson_p(difference_n))


def per_clip(evaluator: Evaluator, rows: np.ndarray) -> np.ndarray | None:
    """(n,) values whose mean is the metric, or None for a metric of the whole set.

    Raises:
        ValueError: the metric gave something else.
    """
    values = optional(evaluator, EvaluatorExtras, "per_clip")(rows)
    if values is None:
        return None
    found = np.asarray(values, np.float64)
    if found.shape != (len(rows),):
        raise ValueError(f"per_clip() of {len(rows)} clips gave {found.shape}; it must be ({len(rows)},)")
    return found


def resample(
    evaluator: Evaluator,
    rows: np.ndarray,
    reference: np.ndarray | None,
    index_Rn: np.ndarray,
    groups_n: np.ndarray | None = None,
) -> np.ndarray:
    """(R,): the metric of ``rows[index]`` for each row of indices; of evaluators of any origin.

    ``groups_n``: the indices are of prompts with all of their clips.
    """
    if groups_n is not None:
        return optional(evaluator, EvaluatorExtras, "resample_prompts")(rows, reference, index_Rn, groups_n)
    return optional(evaluator, EvaluatorExtras, "resample")(rows, reference, index_Rn)


def check_rows(rows: np.ndarray, resamples: int, level: float) -> None:
    """Raises UserError for fewer than 2 rows, or for numbers that make no interval."""
    if len(rows) < 2:
        raise UserError(
            f"{counted(len(rows), 'clip')}: an interval or a test needs at least 2 clips on which the metric is defined"
        )
    if resamples < 20 or not 0 < level < 1:
        raise UserError(f"resamples {resamples}, level {level}: need at least 20 resamples and a level between 0 and 1")
