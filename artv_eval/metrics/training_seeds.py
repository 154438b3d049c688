"""Values and differences over training seeds *and* clips: two sources of chance, crossed.

S models, trained alike with other seeds, make clips for the same n prompts. What a seed gives varies between trainings,
and each varies with the prompts and the noise of its clips, in part together with the others, for the prompts are
shared. This is the reader × case design of Obuchowski and Rockette (1995), seeds in the readers' place: the variance of
the mean over seeds is

    V = MS / S + C        MS: variance of the S values;  C: mean covariance, over clips, of two seeds' values

C is computed from the clips' own values, or by half-samples for metrics of a whole set. MS has S − 1 degrees of
freedom and C has n − 1, so the quantile lies between Student's two, as for the sums of Cochran and Cox (1957):

    q = g·t₁ + (1 − g)·t₂        w = MS / (S·V): the share of MS in V

With C = 0 it is the t-test over seeds. Cochran and Cox's g = w rejects equal methods in 2.2 to 6.1 % of cases at two
seeds; Satterthwaite's degrees of freedom, which Hillis (2007) uses there, in 4.9 to 12.8. Here g is the semicircle's
distribution function at w, which keeps within 3.1 and 6.7 whatever the two spreads, and from three seeds on within 3.5
and 5.0: by numerical integration, and by simulation in ``benchmarks/training_seeds.py``. That is of many clips; of 20
it keeps within 2.8 and 6.4 at two seeds, of 8 within 2.3 and 6.0, and never above that of many. A 1 % test rejects in
up to 2.9 % at two seeds and 1.3 at three: few trainings carry no small p-values.

The test of the *checkpoints* asks less: whether these S models differ, with no other training in mind.

Shape suffixes: n clips, M models, S seeds.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc, stdtr, stdtrit  # the last two: Student's t, its distribution and its quantile

from artv.errors import UserError
from artv_eval.api import Evaluator
from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.metrics.clusters import Totals, as_groups
from artv_eval.metrics.half_samples import joint_covariance
from artv_eval.metrics.statistics import SetValue, check_rows, per_clip, set_value


@dataclass(frozen=True, kw_only=True)
class OverSeeds:
    """A mean over ``seeds`` trainings and ``n`` clips; ``low`` to ``high`` covers both sources of chance.

    ``p_value`` of no difference between the methods (two-sided); ``p_checkpoints``: between these models. The two
    components: ``sd_trainings``, the standard deviation between trainings, clips' share taken out; ``se_clips``, the
    standard error of one training's value over its clips. ``each``: the values of which ``value`` is the mean.
    """

    value: float
    low: float
    high: float
    standard_error: float
    seeds: int
    n: int
    level: float
    p_value: float
    p_checkpoints: float
    sd_trainings: float
    se_clips: float
    each: tuple[float, ...] = ()
    prompts: int | None = None
    skewness: ClassVar[None] = None
    caveat: ClassVar[None] = None  # the tests are Student's over few seeds, wide already: benchmarks/training_seeds.py

    @property
    def difference(self) -> float:
        """The value, of differences."""
        return self.value


@dataclass(frozen=True)
class Measured:
    """A metric of M models on the same n clips: values (M,), and their covariance over clips (M, M).

    ``prompts``: of how many these are, where clips of one prompt go together: C's degrees of freedom are theirs.
    """

    values: np.ndarray
    covariance: np.ndarray
    n: int
    prompts: int | None = None

    def combined(self, weights_SM: np.ndarray) -> "Measured":
        """Linear combinations, such as a difference for each seed."""
        return Measured(weights_SM @ self.values, weights_SM @ self.covariance @ weights_SM.T, self.n, self.prompts)

    def at(self, places: Sequence[int]) -> "Measured":
        """The models at some places."""
        return self.combined(np.eye(len(self.values))[list(places)])

    def difference(self, a: Sequence[int], b: Sequence[int]) -> "Measured":
        """``a`` − ``b``, seed by seed."""
        eye = np.eye(len(self.values))
        return self.combined(eye[list(a)] - eye[list(b)])


def measured(
    evaluator: Evaluator,
    rows: Sequence[np.ndarray],
    reference: np.ndarray | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    known: Sequence[SetValue] | None = None,
) -> Measured:
    """A metric of models whose ``rows`` (n, d) belong to the same clips in the same order.

    Clips on which a per-clip metric is undefined for one of the models count for none. ``groups`` (n,): what clips of
    one prompt share. ``known``: of a metric of a whole set, what :func:`artv_eval.metrics.statistics.set_value` gave
    for each, if it is there.
    """
    if len({len(part) for part in rows}) > 1:
        raise UserError("values over training seeds need the same clips of every training")
    check_rows(rows[0], resamples, 0.95)
    values = [per_clip(evaluator, part) for part in rows]
    if all(part is not None for part in values):
        values_nM = np.stack(values, 1)  # type: ignore[arg-type]
        there = np.flatnonzero(~np.isnan(values_nM).any(1))
        values_nM = values_nM[there]
        check_rows(values_nM, resamples, 0.95)
        together = None if groups is None else as_groups([groups[int(i)] for i in there])
        each_GM = np.stack([Totals.of(column, together).deviations() for column in values_nM.T], 1)
        G = len(each_GM)
        prompts = None if together is None else G
        return Measured(values_nM.mean(0), np.atleast_2d(np.cov(each_GM.T)) / G, len(there), prompts)
    if known is None:
        known = [set_value(evaluator, part, reference, groups=groups, resamples=resamples, seed=seed) for part in rows]
    quadratic = optional(evaluator, EvaluatorExtras, "quadratic")
    covariance = joint_covariance([item.halves for item in known], quadratic)
    return Measured(np.array([item.value for item in known]), covariance, len(rows[0]), known[0].prompts)


def over_seeds(found: Measured, *, level: float = 0.95) -> OverSeeds:
    """The mean of ``found``'s S values, one a training seed.

    Raises:
        UserError: fewer than 2 seeds: nothing can be said about trainings.
    """
    S, n = len(found.values), found.prompts or found.n
    if S < 2:
        raise UserError(f"{S} training seed: a statement about a method needs at least 2; give --train-seeds")
    value = float(found.values.mean())
    between = float(found.values.var(ddof=1))
    own = float(np.diag(found.covariance).mean())
    shared = float((found.covariance.sum() - np.trace(found.covariance)) / (S * (S - 1)))
    seeds_part, clips_part = between / S, max(shared, 0.0)
    error = float(np.sqrt(seeds_part + clips_part))
    margin = error * float(quantile((1 - level) / 2, seeds_part, clips_part, S, n))
    fixed = float(np.sqrt(max(found.covariance.mean(), 0.0)))
    return OverSeeds(
        value=value,
        low=value - margin,
        high=value + margin,
        standard_error=error,
        seeds=S,
        each=tuple(map(float, found.values)),
        n=found.n,
        prompts=found.prompts,
        level=level,
        p_value=_p_value(abs(value), error, seeds_part, clips_part, S, n),
        p_checkpoints=2 * float(stdtr(n - 1, -abs(value) / fixed)) if fixed > 0 else float(value == 0),
        sd_trainings=float(np.sqrt(max(between - max(own - shared, 0.0), 0.0))),
        se_clips=float(np.sqrt(max(own, 0.0))),
    )


def quantile(tail: float, seeds_part: Any, clips_part: Any, S: int, n: int) -> Any:
    """The quantile at 1 − ``tail`` of a mean whose variance has two parts (arrays of one shape): see the head above."""
    total = np.maximum(seeds_part + clips_part, np.finfo(np.float64).tiny)
    g = betainc(1.5, 1.5, seeds_part / total)  # the semicircle's
    return stdtrit(S - 1, 1 - tail) * g + stdtrit(n - 1, 1 - tail) * (1 - g)


def standard_error_of(margin: float, sd_trainings: float, se_clips: float, S: int, n: int) -> float:
    """The standard error of a mean whose 95 % interval has this half-width, where only its components were kept.

    Between C = 0 and C = all of one training's variance over clips the one is taken that comes nearest.
    """
    shared = np.linspace(0.0, se_clips**2, 2001)
    between = (sd_trainings**2 + se_clips**2 - shared) / S
    errors = np.sqrt(between + shared)
    return float(errors[np.abs(errors * quantile(0.025, between, shared, S, n) - margin).argmin()])


def _p_value(value: float, error: float, *parts: Any) -> float:
    """Two-sided: the level at which the interval just reaches 0."""
    if error == 0:
        return float(value == 0)
    smallest = 1e-9

    def excess(p: float) -> float:
        return float(quantile(p / 2, *parts)) - value / error

    return smallest if excess(smallest) <= 0 else float(brentq(excess, smallest, 1.0))
