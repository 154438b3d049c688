"""Values and differences over training seeds *and* clips: two sources of chance, crossed.

S models, trained alike with other seeds, make clips for the same n prompts. What a seed gives varies between trainings,
and each varies with the prompts and the noise of its clips, in part together with the others, for the prompts are
shared. This is the reader × case design of Obuchowski and Rockette (1995), seeds in the readers' place: the variance of
the mean over seeds is

    V = MS / S + C        MS: variance of the S values;  C: mean covariance, over clips, of two seeds' values

C is computed from the clips' own values, or by half-samples for metrics of a whole set. MS has S − 1 degrees of
freedom and C has n − 1, so the quantile lies between Student's two, as for the sums of Cochran and Cox (1957):

    q = g·t₁ + (1 − g)·t₂        w = MS / (S·V): the share of MS in V
    g = y²(3 − 2y)               y = (4 w/k − 1) / 3 between 0 and 1;  k² = t₂ / t₁, at most 1

With C = 0 it is the t-test over seeds. That is a preliminary test of whether trainings vary (Bancroft 1944), made
gradual: t₂ where the share is below k/4, t₁ from k on. Where to put it was found by integration over the chi-squared
laws of MS and C, as Trickett and Welch (1954) found critical values, for the size to be the same whatever the two
spreads: 5 % tests reject equal methods in 3.6 to 6.3 % of cases at two seeds and in 3.8 to 5.2 from three on, of 20
clips and more; of 12 in 3.3 to 5.7, of 8 in 2.9 to 5.6. At two seeds the best g that rises with w keeps within 4.1 and
6.1, Cochran and Cox's g = w within 2.0 and 6.1, Satterthwaite's degrees of freedom, which Hillis (2007) uses there, 4.9
and 12.8. A 1 % test rejects in up to 2.9 % at two seeds and 1.4 at three: few trainings carry no small p-values.

**Values of set metrics.** A squared distance varies more the larger it is, whatever moves the set, clips or trainings:
seeds that came out low show too small an MS and too small a C, and value ± q·√V misses on one side. So V grows from the
value to the limit in the proportion in which the half-samples of one model's clips say that its variance does
(:mod:`artv_eval.metrics.half_samples`), and each limit has the V midway to it:

    (limit − value)² = q² V + 2 t₂² V (curvature / variance of one model) (limit − value)

t₂ and not q: how far it bends is a matter of how far the estimate strays (as in Cornish and Fisher's expansion), which
few degrees of freedom do not change; they say how well V is known. With one model it is the interval over clips. In a
difference of twins the bends cancel; its interval and the tests are symmetric.

The test of the *checkpoints* asks less: whether these S models differ, with no other training in mind.

Shape suffixes: n clips, M models, S seeds.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit  # Student's t: its distribution and its quantile

from artv.errors import UserError
from artv_eval.api import Evaluator
from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.metrics.clusters import Totals, as_groups
from artv_eval.metrics.half_samples import Spread, bent_limits, joint_covariance, student_t
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
    ``curvatures`` (M,): of a metric of a whole set, those of :class:`artv_eval.metrics.half_samples.Spread`; None for
    means and combinations.
    """

    values: np.ndarray
    covariance: np.ndarray
    n: int
    prompts: int | None = None
    curvatures: np.ndarray | None = None

    @property
    def growth(self) -> float:
        """By what share of itself half of the variance grows, a unit of the metric."""
        own = float(np.trace(self.covariance))
        return 0.0 if self.curvatures is None or own <= 0 else float(self.curvatures.sum()) / own

    def combined(self, weights_SM: np.ndarray) -> "Measured":
        """Linear combinations, such as a difference for each seed."""
        return Measured(weights_SM @ self.values, weights_SM @ self.covariance @ weights_SM.T, self.n, self.prompts)

    def at(self, places: Sequence[int]) -> "Measured":
        """The models at some places."""
        there, bent = list(places), self.curvatures
        return replace(self.combined(np.eye(len(self.values))[there]), curvatures=None if bent is None else bent[there])

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
    halves, values_M = [item.halves for item in known], np.array([item.value for item in known])
    curvatures = np.array([Spread.of_halves(item).curvature for item in halves])
    return Measured(values_M, joint_covariance(halves, quadratic), len(rows[0]), known[0].prompts, curvatures)


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
    low, high = bent_limits(value, margin, student_t(n, level) ** 2 * error**2 * found.growth)
    fixed = float(np.sqrt(max(found.covariance.mean(), 0.0)))
    return OverSeeds(
        value=value,
        low=low,
        high=high,
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
    t_seeds, t_clips = stdtrit(S - 1, 1 - tail), stdtrit(n - 1, 1 - tail)
    all_seeds = min(np.sqrt(t_clips / t_seeds), 1.0)
    y = np.clip((4 * seeds_part / total / all_seeds - 1) / 3, 0, 1)
    return t_clips + (t_seeds - t_clips) * y**2 * (3 - 2 * y)


def _p_value(value: float, error: float, *parts: Any) -> float:
    """Two-sided: the level at which the interval just reaches 0."""
    if error == 0:
        return float(value == 0)
    smallest, largest = 1e-9, 1 - 1e-9  # at 1 both quantiles are 0, and their ratio is not defined

    def excess(p: float) -> float:
        return float(quantile(p / 2, *parts)) - value / error

    if excess(largest) >= 0:
        return 1.0
    return smallest if excess(smallest) <= 0 else float(brentq(excess, smallest, largest))
