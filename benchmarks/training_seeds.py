"""Do statements about methods hold? Intervals over training seeds and clips, and the size of tests, simulated.

    python benchmarks/training_seeds.py --repetitions 10000 --out benchmarks/results

Differences of equal methods for S seeds × n clips: normal, with a standard deviation over seeds of ``ratio`` times the
standard error over clips. A share of the clips' variance is the same for every seed (what a prompt does to a method),
the rest is each seed's own. Columns: ``size`` of the 5 % test of the method, and of the 1 % test; ``coverage`` of its
interval, which is that test; what Satterthwaite's degrees of freedom would give; how often the test of the checkpoints
rejects, which asks another question.
"""

import itertools
from typing import Any

import numpy as np
from scipy.special import stdtr
from simulated import begun, simulate, table

from artv_eval.metrics.training_seeds import Measured, over_seeds

SEEDS, CLIPS, RATIOS, SHARED = (2, 3, 4, 8), (20, 64, 512), (0.2, 0.5, 1.0, 2.0, 5.0, 8.0), (0.0, 0.5, 0.9)


def draw(S: int, n: int, ratio: float, shared: float, rng: np.random.Generator) -> Measured:
    """One experiment: mean differences (S,) and their covariance over clips, which is Wishart."""
    own = np.full((S, S), shared) + np.eye(S) * (1 - shared)
    root = np.linalg.cholesky(own + 1e-12 * np.eye(S))
    clips = rng.normal(size=(n, S)) @ root.T
    values = clips.mean(0) + rng.normal(size=S) * ratio / np.sqrt(n)
    return Measured(values, np.cov(clips.T) / n, n)


def satterthwaite(found: Measured) -> float:
    """The p-value with Satterthwaite's degrees of freedom in the place of the two quantiles' mixture."""
    S = len(found.values)
    a = found.values.var(ddof=1) / S
    c = max((found.covariance.sum() - np.trace(found.covariance)) / (S * (S - 1)), 0.0)
    df = (a + c) ** 2 / (a**2 / (S - 1) + c**2 / (found.n - 1))
    return float(2 * stdtr(df, -abs(found.values.mean()) / np.sqrt(a + c)))


def run(S: int, n: int, ratio: float, shared: float, repetitions: int) -> dict[str, float]:
    """One row."""
    rng = np.random.default_rng([S, n, round(10 * ratio), round(10 * shared)])
    drawn = [draw(S, n, ratio, shared, rng) for _ in range(repetitions)]
    found = [over_seeds(item) for item in drawn]
    return {
        "seeds": S,
        "clips": n,
        "ratio": ratio,
        "shared": shared,
        "size": float(np.mean([item.p_value < 0.05 for item in found])),
        "size_at_0.01": float(np.mean([item.p_value < 0.01 for item in found])),
        "coverage": float(np.mean([item.low <= 0 <= item.high for item in found])),
        "size_satterthwaite": float(np.mean([satterthwaite(item) < 0.05 for item in drawn])),
        "rejects_checkpoints": float(np.mean([item.p_checkpoints < 0.05 for item in found])),
    }


def report(record: dict[str, Any]) -> str:
    """Per number of seeds: the range of sizes, and one line a ratio."""
    found = record["results"]
    lines = begun(record, "Statements about methods, simulated")
    lines += ["", "Sizes of 5 % tests of equal methods, lowest to highest over clips, ratios and shares:", ""]
    lines += [
        "| seeds | test of the method | 1 % test | with Satterthwaite's degrees of freedom | test of the checkpoints |"
    ]
    lines += ["|---|---|---|---|---|"]
    for S in SEEDS:
        columns = ("size", "size_at_0.01", "size_satterthwaite", "rejects_checkpoints")
        ranges = [[row[name] for row in found if row["seeds"] == S] for name in columns]
        lines.append(f"| {S} | " + " | ".join(f"{min(r):.3f}–{max(r):.3f}" for r in ranges) + " |")
    return "\n".join([*lines, "", *table(found)]) + "\n"


if __name__ == "__main__":
    simulate(
        __file__,
        __doc__,
        "intervals and tests over training seeds and clips",
        run,
        itertools.product(SEEDS, CLIPS, RATIOS, SHARED),
        report,
        10_000,
    )
