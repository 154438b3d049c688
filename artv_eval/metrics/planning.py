"""How many trainings and how many clips to buy: the power of the test of a method, by drawing experiments.

An experiment of S seeds a side and n clips gives a mean difference, a variance MS between seeds and a covariance C over
clips: a normal, a chi-squared with S − 1 degrees of freedom and, for clips' own parts are taken out of what the seeds'
mean varies by over clips,

    C = max(((own + (S − 1) shared) X₁ − (own − shared) X₂) / S, 0)

with X₁ and X₂ chi-squared over their degrees of freedom, n − 1 and (S − 1)(n − 1). The test that will be made
(:mod:`artv_eval.metrics.training_seeds`) is applied to many of them, so small numbers are as right as large ones.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import stdtrit  # the quantile of Student's t

from artv.errors import UserError
from artv_eval.metrics.statistics import FEWEST
from artv_eval.metrics.training_seeds import quantile

DRAWS = 20_000
MOST_SEEDS, MOST_CLIPS = 64, 100_000
LEAST_CLIPS = 8  # below, an interval over clips means little
STEPS = [round(LEAST_CLIPS * 1.2**k) for k in range(52)]  # numbers of clips to choose from, up to MOST_CLIPS


@dataclass(frozen=True, kw_only=True)
class Chance:
    """What a difference varies by.

    Args:
        sd_trainings: standard deviation between training seeds.
        se_clips: standard error over ``clips`` clips of one seed's difference; it falls as 1/sqrt(n).
        clips: the number that ``se_clips`` belongs to.
        shared: share of the clips' variance that all seeds have in common, 0 to 1: more seeds do not lessen it.
    """

    sd_trainings: float
    se_clips: float
    clips: int
    shared: float = 0.0

    @classmethod
    def of(cls, sd_trainings: float, se_clips: float, standard_error: float, seeds: int, clips: int) -> "Chance":
        """From what a comparison over ``seeds`` reports: its variance is (between + own − shared) / S + shared."""
        own = se_clips**2
        shared = (standard_error**2 - (sd_trainings**2 + own) / seeds) / (1 - 1 / seeds)
        part = min(max(shared / own, 0.0), 1.0) if own > 0 else 0.0
        return cls(sd_trainings=sd_trainings, se_clips=se_clips, clips=clips, shared=part)


@dataclass(frozen=True, kw_only=True)
class Price:
    """GPU minutes: of a training, and of a clip. Of a comparison both sides are paid."""

    training: float
    clip: float

    def of(self, seeds: int, clips: int) -> float:
        """Minutes of a comparison."""
        return 2 * seeds * (self.training + clips * self.clip)


@dataclass(frozen=True, kw_only=True)
class Option:
    """What can be bought, what it costs in minutes, and the chance that it finds the difference."""

    seeds: int
    clips: int
    minutes: float
    power: float


def power_of(difference: float, chance: Chance, seeds: int, clips: int, *, level: float = 0.95) -> float:
    """Chance that the test of the method finds a true ``difference``.

    Raises:
        UserError: numbers that make no test.
    """
    if seeds < 2 or clips < 2 or difference == 0 or not 0 < level < 1:
        raise UserError(
            f"difference {difference:g}, {seeds} seeds, {clips} clips, level {level:g}: a test of a method needs a "
            "difference that is not 0, at least 2 seeds and 2 clips, and a level between 0 and 1"
        )
    own = chance.se_clips**2 * chance.clips / clips
    shared = own * chance.shared
    between = chance.sd_trainings**2 + own - shared
    normal, seeds_part, together, apart = _draws(seeds, clips)
    mean = difference + normal * np.sqrt(between / seeds + shared)
    a = between * seeds_part / seeds
    c = np.maximum((own + (seeds - 1) * shared) * together - (own - shared) * apart, 0.0) / seeds
    margin = quantile((1 - level) / 2, a, c, seeds, clips) * np.sqrt(a + c)
    return float((np.abs(mean) > margin).mean())


@lru_cache(maxsize=256)
def _draws(seeds: int, clips: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A standard normal, and the three chi-squared ones over their degrees of freedom."""
    rng = np.random.default_rng(0)
    degrees = (seeds - 1, clips - 1, (seeds - 1) * (clips - 1))
    squares = (rng.chisquare(freedom, DRAWS) / freedom for freedom in degrees)
    return rng.normal(size=DRAWS), *squares  # type: ignore[return-value]


def within_budget(
    difference: float, chance: Chance, price: Price, budget: float, *, level: float = 0.95
) -> list[Option]:
    """For each number of seeds that ``budget`` minutes pay, all clips that they pay too; the best first."""
    found = []
    for seeds in range(2, MOST_SEEDS + 1):
        left = budget / (2 * seeds) - price.training
        clips = MOST_CLIPS if price.clip == 0 else min(int(left / price.clip), MOST_CLIPS)
        if left < 0 or clips < LEAST_CLIPS:
            break
        power = power_of(difference, chance, seeds, clips, level=level)
        found.append(Option(seeds=seeds, clips=clips, minutes=price.of(seeds, clips), power=power))
    return sorted(found, key=lambda option: (-option.power, option.minutes))


def cheapest(
    difference: float, chance: Chance, price: Price, *, power: float = 0.8, level: float = 0.95
) -> Option | None:
    """The least minutes that reach ``power``; None where 64 seeds of 100,000 clips do not."""
    best: Option | None = None
    for seeds in range(2, MOST_SEEDS + 1):
        if best is not None and price.of(seeds, LEAST_CLIPS) >= best.minutes:
            break

        def reached(clips: int, seeds: int = seeds) -> float:
            return power_of(difference, chance, seeds, clips, level=level)

        at = bisect_left(STEPS, power, key=reached)  # power grows with the clips
        if at < len(STEPS) and (best is None or price.of(seeds, STEPS[at]) < best.minutes):
            minutes = price.of(seeds, STEPS[at])
            best = Option(seeds=seeds, clips=STEPS[at], minutes=minutes, power=reached(STEPS[at]))
    return best


def clips_needed(difference: float, standard_error: float, n: int, *, level: float = 0.95, power: float = 0.8) -> int:
    """Clips a cell for a paired test (Student's t) to find a true ``difference`` with this power; at least 6.

    Args:
        difference: the size worth finding, in the metric's units.
        standard_error: of a :class:`Comparison` between such cells.
        n: clips behind that standard error, which falls as 1/sqrt(n).
    """
    if difference == 0 or n < 2 or not 0 < level < 1 or not 0 < power < 1:
        raise UserError(
            f"difference {difference}, n {n}, level {level}, power {power}: the difference may not be 0, n at least 2, "
            "level and power between 0 and 1"
        )

    def asked_by(degrees: float) -> float:
        t = float(stdtrit(degrees, 0.5 + level / 2)) + float(stdtrit(degrees, power))
        return n * (t * standard_error / difference) ** 2

    needed = max(int(np.ceil(asked_by(np.inf))), FEWEST)
    while needed < asked_by(needed - 1):
        needed += 1
    return needed
