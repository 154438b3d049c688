"""Do the intervals of FVD cover, do its paired tests keep their level, does the extrapolation come closer to the truth?

    python benchmarks/interval_coverage.py                       # d 64, n 512, 800 repetitions: about an hour on 1 core
    python benchmarks/interval_coverage.py --repetitions 20 --resamples 100      # a look

Gaussian features of d dimensions, n generated clips, a fixed reference of as many. For every scenario:

- coverage: how often the 95 % interval of one set covers the metric's expectation at that n (the mean of 4,000 further
  sets against the same reference); beside it plain percentiles of the same number of resamples;
- size: how often the paired test of two equal cells (correlated clips, as shared prompts and seeds make them) has
  p < 0.05; power: the same for cells that differ by 0.1 standard deviations in every mean;
- extrapolation: root-mean-square distance to the true Fréchet distance, plain and at infinite n.

Prints a table, then one JSON line; --out writes both to files.
"""

import argparse
import json
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from artv_eval.metrics.extrapolation import extrapolate
from artv_eval.metrics.frechet import FrechetResampler, frechet_from_features
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.statistics import bootstrap_interval, paired_test


class Features:
    """Stands for an extractor; the evaluator only needs its names."""

    name, digest, dim = "gaussian", "0", 64


@dataclass(frozen=True)
class Scenario:
    """Generated features are N(shift, diag(scale²)); real ones N(0, diag(base²))."""

    name: str
    shift: np.ndarray
    scale: np.ndarray
    base: np.ndarray

    @property
    def truth(self) -> float:
        """Fréchet distance of the two Gaussians: their covariances commute."""
        return float((self.shift**2).sum() + ((self.scale - self.base) ** 2).sum())

    def fake(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=(n, len(self.shift))) * self.scale + self.shift

    def real(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=(n, len(self.base))) * self.base

    def pair(self, n: int, rng: np.random.Generator, gap: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Two cells of this distribution whose clips share half of their variance; ``gap`` moves the second."""
        common, a, b = rng.normal(size=(3, n, len(self.shift)))
        x, y = ((common + own) / np.sqrt(2) * self.scale + self.shift for own in (a, b))
        return x, y + gap * self.scale


def scenarios(d: int) -> list[Scenario]:
    """Equal sets, shifted ones, other spread, and a steep spectrum as real features have."""
    one, steep = np.ones(d), 3 * np.arange(1, d + 1) ** -0.7
    return [
        Scenario("equal", 0 * one, one, one),
        Scenario("shifted", 0.15 * one, one, one),
        Scenario("other spread", 0.1 * one, np.linspace(0.5, 1.5, d), one),
        Scenario("steep spectrum", 0.1 * steep, 1.2 * steep, steep),
    ]


@dataclass
class Outcome:
    """What one scenario gave; shares are of the repetitions."""

    scenario: str
    truth: float
    expectation: float
    coverage: float
    coverage_plain_percentiles: float
    mean_width: float
    size: float
    power: float
    rms_error_plain: float
    rms_error_extrapolated: float


def run(scenario: Scenario, n: int, repetitions: int, resamples: int, seed: int) -> Outcome:
    """One scenario."""
    rng = np.random.default_rng(seed)
    evaluator, reference = FvdEvaluator(Features()), scenario.real(n, rng)
    expectation = np.mean([FrechetResampler(scenario.fake(n, rng), reference)(np.arange(n)) for _ in range(4000)])
    covered, plain, widths, rejected, found, errors = [], [], [], [], [], []
    for k in range(repetitions):
        x = scenario.fake(n, rng)
        interval = bootstrap_interval(evaluator, x, reference, resamples=resamples, seed=k)
        covered.append(interval.low <= expectation <= interval.high)
        widths.append(interval.high - interval.low)
        draws = evaluator.resample(x, reference, rng.integers(n, size=(max(resamples // 5, 100), n)))
        low, high = np.quantile(draws, [0.025, 0.975])
        plain.append(low <= expectation <= high)
        a, b = scenario.pair(n, rng)
        rejected.append(paired_test(evaluator, a, b, reference, resamples=resamples, seed=k).p_value < 0.05)
        a, b = scenario.pair(n, rng, gap=0.1)
        found.append(paired_test(evaluator, a, b, reference, resamples=100, seed=k).p_value < 0.05)
        fresh = scenario.real(n, rng)
        errors.append((frechet_from_features(x, fresh) - scenario.truth, extrapolate(x, fresh) - scenario.truth))
    rms = np.sqrt(np.mean(np.square(errors), axis=0))
    return Outcome(
        scenario=scenario.name,
        truth=round(scenario.truth, 4),
        expectation=round(float(expectation), 4),
        coverage=float(np.mean(covered)),
        coverage_plain_percentiles=float(np.mean(plain)),
        mean_width=round(float(np.mean(widths)), 4),
        size=float(np.mean(rejected)),
        power=float(np.mean(found)),
        rms_error_plain=round(float(rms[0]), 4),
        rms_error_extrapolated=round(float(rms[1]), 4),
    )


def table(outcomes: list[Outcome]) -> str:
    """Markdown."""
    names = list(asdict(outcomes[0]))
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + "---|" * len(names)]
    for outcome in outcomes:
        lines.append(
            "| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else v for v in asdict(outcome).values()) + " |"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--n", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=800)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="scenarios at once; changes no result")
    parser.add_argument("--out", type=Path, help="folder for interval_coverage.md and .json")
    args = parser.parse_args()
    start = time.monotonic()
    cases, outcomes = scenarios(args.d), []
    with ProcessPoolExecutor(args.processes) as pool:
        settings = ([value] * len(cases) for value in (args.n, args.repetitions, args.resamples))
        for outcome in pool.map(run, cases, *settings, range(args.seed, args.seed + len(cases))):
            outcomes.append(outcome)
            print(table(outcomes[-1:]).splitlines()[-1], flush=True)
    used = {k: v for k, v in vars(args).items() if k not in ("out", "processes")}
    record = {
        "theme": "coverage of FVD intervals, level of paired tests, extrapolation",
        "settings": used,
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "seconds": round(time.monotonic() - start),
        "command": "python benchmarks/interval_coverage.py " + " ".join(f"--{k} {v}" for k, v in used.items()),
        "results": [asdict(outcome) for outcome in outcomes],
    }
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "interval_coverage.json").write_text(json.dumps(record, indent=1) + "\n")
        note = f"`{record['command']}`, {record['hardware']}, numpy {record['numpy']}, {record['seconds']} s\n"
        (args.out / "interval_coverage.md").write_text(f"# Interval coverage\n\n{note}\n{table(outcomes)}\n")
    print("\n" + table(outcomes))
    print(json.dumps(record))


if __name__ == "__main__":
    main()
