"""Do the intervals of FVD and KVD cover, do paired tests keep their level, does the extrapolation come closer?

    python benchmarks/interval_coverage.py                       # n 8, 20, 64 and 512, d 64: about 25 minutes on 1 core
    python benchmarks/interval_coverage.py --repetitions 20 --resamples 100      # a look

Gaussian features of d dimensions, n generated clips, a fixed reference of 512; and rows of the shapes protocol that
ship with the package (512 of 64 dimensions), drawn with replacement against all of them. For every scenario and n:

- coverage: how often the 95 % interval of one set covers the metric's expectation at that n (the mean of 2,000 further
  sets against the same reference); beside it value ± 1.96 standard errors, which were the intervals once, and plain
  percentiles;
- size: how often the paired test of two equal cells (correlated clips, as shared prompts and seeds make them) has
  p < 0.05; power: the same for cells that differ by 0.1 standard deviations in every mean;
- extrapolation, for n of at least 4 d: root-mean-square distance to the true Fréchet distance, plain and at infinite n.

Percentiles, power and extrapolation are measured in the first --extras repetitions. Prints a table, then one JSON
line; --out writes both to files.
"""

import argparse
import json
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from artv_eval.metrics.extrapolation import CLIPS_A_DIMENSION, extrapolate
from artv_eval.metrics.frechet import FrechetResampler, frechet_from_features
from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.half_samples import Spread
from artv_eval.metrics.kvd import KernelResampler, KvdEvaluator
from artv_eval.metrics.reference_rows import FOLDER
from artv_eval.metrics.statistics import paired_test

REFERENCE = 512  # clips
SETS = 2000  # from which an expectation is known


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
    def d(self) -> int:
        return len(self.shift)

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


@dataclass(frozen=True)
class Packaged:
    """Generated features are packaged rows moved by ``shift`` standard deviations; real ones all of these rows."""

    name: str
    rows: np.ndarray
    shift: float = 0.0

    @property
    def d(self) -> int:
        return self.rows.shape[1]

    @property
    def truth(self) -> float:
        return float((self.shift**2 * self.rows.var(0)).sum())

    def _moved(self, index_n: np.ndarray, gap: float = 0.0) -> np.ndarray:
        return self.rows[index_n] + (self.shift + gap) * self.rows.std(0)

    def fake(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self._moved(rng.integers(len(self.rows), size=n))

    def real(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.rows

    def pair(self, n: int, rng: np.random.Generator, gap: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Two cells that share about half of their clips."""
        a, other = rng.integers(len(self.rows), size=(2, n))
        return self._moved(a), self._moved(np.where(rng.random(n) < 0.5, a, other), gap)


def scenarios(d: int) -> list[Scenario | Packaged]:
    """Equal sets, shifted ones, other spread, a steep spectrum as real features have, and packaged rows."""
    one, steep = np.ones(d), 3 * np.arange(1, d + 1) ** -0.7
    (file,) = FOLDER.glob("*.npz")
    with np.load(file, allow_pickle=False) as stored:
        rows = stored["rows"].astype(np.float64)
    return [
        Scenario("equal", 0 * one, one, one),
        Scenario("shifted", 0.15 * one, one, one),
        Scenario("other spread", 0.1 * one, np.linspace(0.5, 1.5, d), one),
        Scenario("steep spectrum", 0.1 * steep, 1.2 * steep, steep),
        Packaged("packaged, equal", rows),
        Packaged("packaged, shifted", rows, 0.5),
    ]


def expectations(
    scenario: Scenario | Packaged, n: int, reference: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Means of FVD and KVD over ``SETS`` sets of n clips."""
    together = max(1, 1024 // n)
    parts = np.arange(together * n).reshape(together, n)
    found = []
    for _ in range(-(-SETS // together)):
        x = np.concatenate([scenario.fake(n, rng) for _ in parts])
        kernel = KernelResampler(x, reference)
        found += zip(FrechetResampler(x, reference).many(parts), map(kernel, parts), strict=True)
    fvd, kvd = np.mean(found, axis=0)
    return float(fvd), float(kvd)


@dataclass
class Outcome:
    """What one scenario gave at one n; shares are of the repetitions."""

    scenario: str
    n: int
    d: int
    truth: float
    expectation: float
    coverage: float
    coverage_symmetric: float
    coverage_plain_percentiles: float
    mean_width: float
    size: float
    coverage_kvd: float
    coverage_kvd_symmetric: float
    power: float
    rms_error_plain: float | None
    rms_error_extrapolated: float | None


def run(scenario: Scenario | Packaged, n: int, repetitions: int, extras: int, resamples: int, seed: int) -> Outcome:
    """One scenario at one n."""
    rng = np.random.default_rng([seed, n])
    fvd, kvd, reference = FvdEvaluator(Features()), KvdEvaluator(Features()), scenario.real(REFERENCE, rng)
    expected = dict(zip((fvd, kvd), expectations(scenario, n, reference, rng), strict=True))
    covered, symmetric = ({metric: [] for metric in expected} for _ in range(2))
    plain, widths, rejected, found, errors = [], [], [], [], []
    for k in range(repetitions):
        x, (a, b) = scenario.fake(n, rng), scenario.pair(n, rng)
        for metric, mean in expected.items():
            # what bootstrap_interval does, in its parts, for the older interval from the same resamples
            spread = Spread.of(partial(metric.resample, x, reference), n, resamples, seed=k)
            value, quadratic = metric.evaluate(x, reference), metric is kvd
            low, high = spread.limits(value, 0.95, quadratic)
            covered[metric].append(low <= mean <= high)
            symmetric[metric].append(abs(value - mean) <= 1.96 * spread.standard_error(quadratic=True))
            if metric is fvd:
                widths.append(high - low)
        rejected.append(paired_test(fvd, a, b, reference, resamples=resamples, seed=k).p_value < 0.05)
        if k < extras:
            draws = fvd.resample(x, reference, rng.integers(n, size=(100, n)))
            low, high = np.quantile(draws, [0.025, 0.975])
            plain.append(low <= expected[fvd] <= high)
            a, b = scenario.pair(n, rng, gap=0.1)
            found.append(paired_test(fvd, a, b, reference, resamples=100, seed=k).p_value < 0.05)
        if k < extras and n >= CLIPS_A_DIMENSION * scenario.d:
            fresh = scenario.real(n, rng)
            errors.append((frechet_from_features(x, fresh) - scenario.truth, extrapolate(x, fresh) - scenario.truth))
    rms = np.sqrt(np.mean(np.square(errors), axis=0)) if errors else (None, None)
    return Outcome(
        scenario=scenario.name,
        n=n,
        d=scenario.d,
        truth=round(scenario.truth, 4),
        expectation=round(float(expected[fvd]), 4),
        coverage=float(np.mean(covered[fvd])),
        coverage_symmetric=float(np.mean(symmetric[fvd])),
        coverage_plain_percentiles=float(np.mean(plain)),
        mean_width=round(float(np.mean(widths)), 4),
        size=float(np.mean(rejected)),
        coverage_kvd=float(np.mean(covered[kvd])),
        coverage_kvd_symmetric=float(np.mean(symmetric[kvd])),
        power=float(np.mean(found)),
        rms_error_plain=None if rms[0] is None else round(float(rms[0]), 4),
        rms_error_extrapolated=None if rms[1] is None else round(float(rms[1]), 4),
    )


def table(outcomes: list[Outcome]) -> str:
    """Markdown."""
    names = list(asdict(outcomes[0]))
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + "---|" * len(names)]
    for outcome in outcomes:
        cells = ["–" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in asdict(outcome).values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--n", type=int, nargs="+", default=[8, 20, 64, 512])
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--extras", type=int, default=100, help="repetitions that also measure power and extrapolation")
    parser.add_argument("--resamples", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="scenarios at once; changes no result")
    parser.add_argument("--out", type=Path, help="folder for interval_coverage.md and .json")
    args = parser.parse_args()
    start = time.monotonic()
    # more packaged rows than there are would tell nothing
    cases = [(n, i, s) for n in args.n for i, s in enumerate(scenarios(args.d)) if isinstance(s, Scenario) or n <= 128]
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(args.processes) as pool:
        settings = ([value] * len(cases) for value in (args.repetitions, args.extras, args.resamples))
        numbers, seeds = [n for n, _, _ in cases], [args.seed + i for _, i, _ in cases]
        for outcome in pool.map(run, [case for _, _, case in cases], numbers, *settings, seeds):
            outcomes.append(outcome)
            print(table(outcomes[-1:]).splitlines()[-1], flush=True)
    used = {k: v for k, v in vars(args).items() if k not in ("out", "processes")}
    error = np.sqrt(0.95 * 0.05 / args.repetitions)
    shown = {k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in used.items()}
    record = {
        "theme": "coverage of the intervals of FVD and KVD, level of paired tests, extrapolation",
        "settings": used,
        "monte_carlo_error": round(float(error), 4),
        "hardware": f"{cpu()}, {os.cpu_count()} CPU cores, {args.processes} used",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "seconds": round(time.monotonic() - start),
        "command": "python benchmarks/interval_coverage.py " + " ".join(f"--{k} {v}" for k, v in shown.items()),
        "results": [asdict(outcome) for outcome in outcomes],
    }
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "interval_coverage.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        note = (
            f"`{record['command']}`, {record['hardware']}, Python {record['python']}, numpy {record['numpy']}, "
            f"torch {record['torch']}, {record['seconds']} s.\n\n{args.repetitions} repetitions a row, {args.extras} "
            f"for percentiles, power and extrapolation; {args.resamples} resamples an interval (the default is 1,000). "
            f"One Monte-Carlo standard error: {error:.3f} at a coverage of 0.95 or a size of 0.05. Columns: see the "
            "head of `benchmarks/interval_coverage.py`; of FVD unless they say KVD; `symmetric` is value ± 1.96 "
            "standard errors.\n"
        )
        (args.out / "interval_coverage.md").write_text(
            f"# Interval coverage\n\n{note}\n{table(outcomes)}\n", encoding="utf-8"
        )
    print("\n" + table(outcomes))
    print(json.dumps(record))


def cpu() -> str:
    """The processor's name where Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
