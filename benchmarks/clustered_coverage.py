"""Do intervals and tests hold for several clips of each prompt, however alike these are?

    python benchmarks/clustered_coverage.py                      # 4 seeds of 50 prompts: about 12 minutes on 1 core
    python benchmarks/clustered_coverage.py --repetitions 20 --means 200      # a look
    python benchmarks/clustered_coverage.py --metrics fvd --icc 0.6 --seed 1 --out piece-1      # a piece of more
    python benchmarks/clustered_coverage.py --pool piece-1 piece-2 --out results                # pieces of other seeds

Features are normal, of d dimensions, with the share ``icc`` of their variance common to the clips of a prompt (the
intraclass correlation); the reference is fixed. The mean is of one number a clip, normal or
lognormal (sigma 0.5: skewness 1.75). Measured:

- coverage of the 95 % interval: of the true mean; of set metrics their expectation for so many prompts and clips (the
  mean of 2,000 further sets). ``clips alone``: the same with every clip taken for independent;
- ``lost``: where a tenth of the clips is missing, at random;
- size: how often the paired test of two equal cells, whose clips share half of what is their prompt's, has p < 0.05.

Prints a table, then one JSON line; --out writes both to files.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from interval_coverage import SETS, Features, cpu, table

from artv_eval.metrics.fvd import FeatureEvaluator, FvdEvaluator
from artv_eval.metrics.jedi import JediEvaluator
from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.metrics.statistics import bootstrap_interval, paired_means, paired_test

METRICS = ("mean", "fvd", "kvd", "jedi")
REFERENCE = 256  # clips
SIGMA = 0.5  # of the lognormal


@dataclass(frozen=True)
class Design:
    """``seeds`` clips of each of ``prompts``; of their variance the share ``icc`` is the prompt's."""

    prompts: int
    seeds: int
    icc: float

    @property
    def groups(self) -> np.ndarray:
        return np.repeat(np.arange(self.prompts), self.seeds)

    def draw(self, rng: np.random.Generator, d: int) -> np.ndarray:
        """(n, d), each number standard normal."""
        return self.pair(rng, d)[0]

    def pair(self, rng: np.random.Generator, d: int) -> tuple[np.ndarray, np.ndarray]:
        """Two cells that differ in the other half of what is a prompt's, and in their clips."""
        common, *own = rng.normal(size=(3, self.prompts, d))
        theirs = [np.repeat((common + part) / np.sqrt(2), self.seeds, axis=0) for part in own]
        clips = rng.normal(size=(2, self.prompts * self.seeds, d))
        a, b = (np.sqrt(self.icc) * t + np.sqrt(1 - self.icc) * c for t, c in zip(theirs, clips, strict=True))
        return a, b


class Value(FvdEvaluator):
    """A number a clip, as a metric of it."""

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0]


@dataclass
class Outcome:
    """What one metric gave at one correlation; shares are of ``repetitions``."""

    metric: str
    icc: float
    prompts: int
    seeds: int
    repetitions: int
    coverage: float
    coverage_lost: float | None
    clips_alone: float
    mean_width: float
    size: float
    size_clips_alone: float


def mean_outcome(design: Design, skewed: bool, repetitions: int, resamples: int, seed: int) -> Outcome:
    """Coverage for the mean of one number a clip."""
    rng, value, groups = np.random.default_rng(seed), Value(Features()), design.groups
    truth = float(np.exp(SIGMA**2 / 2)) if skewed else 0.0
    hits, rejected = [], []
    for k in range(repetitions):
        a, b = (np.exp(SIGMA * x) if skewed else x for x in design.pair(rng, 1))
        kept = rng.random(len(a)) > 0.1
        found = [
            bootstrap_interval(value, rows, groups=which, resamples=resamples, seed=k)
            for rows, which in ((a, groups), (a[kept], groups[kept]), (a, None))
        ]
        hits.append([found[0].high - found[0].low, *(item.low <= truth <= item.high for item in found)])
        tests = (paired_means((a - b)[:, 0], groups=which, resamples=20, seed=k) for which in (groups, None))
        rejected.append([test.p_value < 0.05 for test in tests])
    (width, *covered), size = np.mean(hits, axis=0), np.mean(rejected, axis=0)
    return _outcome("mean, lognormal" if skewed else "mean", design, repetitions, covered, width, size)


def set_outcome(
    metric: FeatureEvaluator, design: Design, d: int, repetitions: int, resamples: int, seed: int
) -> Outcome:
    """Coverage for a metric of the whole set; the generated features are shifted by 0.15."""
    rng, groups = np.random.default_rng(seed), design.groups
    reference = rng.normal(size=(REFERENCE, d))
    truth = float(np.mean([metric.evaluate(design.draw(rng, d) + 0.15, reference) for _ in range(SETS)]))
    hits, rejected = [], []
    for k in range(repetitions):
        a, b = (x + 0.15 for x in design.pair(rng, d))
        found = [
            bootstrap_interval(metric, a, reference, groups=which, resamples=resamples, seed=k)
            for which in (groups, None)
        ]
        hits.append([found[0].high - found[0].low, *(item.low <= truth <= item.high for item in found)])
        tests = (
            paired_test(metric, a, b, reference, groups=which, resamples=resamples, seed=k) for which in (groups, None)
        )
        rejected.append([test.p_value < 0.05 for test in tests])
    (width, coverage, alone), size = np.mean(hits, axis=0), np.mean(rejected, axis=0)
    return _outcome(f"{metric.name}, d {d}", design, repetitions, (coverage, None, alone), width, size)


def _outcome(name: str, design: Design, repetitions: int, covered, width, size) -> Outcome:
    return Outcome(
        metric=name,
        icc=design.icc,
        prompts=design.prompts,
        seeds=design.seeds,
        repetitions=repetitions,
        coverage=float(covered[0]),
        coverage_lost=None if covered[1] is None else float(covered[1]),
        clips_alone=float(covered[2]),
        mean_width=round(float(width), 4),
        size=float(size[0]),
        size_clips_alone=float(size[1]),
    )


def pooled(folders: list[Path]) -> dict:
    """One record of several whose seeds differ: shares are means over all repetitions."""
    records = [json.loads((folder / "clustered_coverage.json").read_text(encoding="utf-8")) for folder in folders]
    same: dict[tuple, list[dict]] = {}
    for item in (item for record in records for item in record["results"]):
        same.setdefault((item["metric"], item["prompts"], item["icc"]), []).append(item)
    results = []
    for _, items in sorted(same.items()):
        n = [item["repetitions"] for item in items]
        shares = {
            name: None
            if items[0][name] is None
            else round(float(np.average([item[name] for item in items], weights=n)), 4)
            for name in ("coverage", "coverage_lost", "clips_alone", "mean_width", "size", "size_clips_alone")
        }
        results.append({**items[0], **shares, "repetitions": sum(n)})
    seconds = sum(record["seconds"] for record in records)
    return {**records[0], "seconds": seconds, "command": "\n".join(r["command"] for r in records), "results": results}


def write(record: dict, out: Path) -> None:
    """``clustered_coverage.json`` and ``.md``."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "clustered_coverage.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    commands = "\n".join(f"    {command}" for command in record["command"].splitlines())
    made_by = f"{record['hardware']}, Python {record['python']}, numpy {record['numpy']}, {record['seconds']} s"
    note = (
        f"{made_by}:\n\n{commands}\n\n"
        "One Monte-Carlo standard error of a coverage of .95: .0049 of 2000 repetitions, .0063 of 1200, .0089 of 600. "
        "Columns: see the head of `benchmarks/clustered_coverage.py`.\n"
    )
    outcomes = [Outcome(**item) for item in record["results"]]
    text = f"# Coverage with several clips of a prompt\n\n{note}\n{table(outcomes)}\n"
    (out / "clustered_coverage.md").write_text(text, encoding="utf-8")


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--icc", type=float, nargs="+", default=[0.0, 0.3, 0.6, 0.9])
    parser.add_argument("--d", type=int, default=32)
    parser.add_argument("--means", type=int, default=2000, help="repetitions for means")
    parser.add_argument("--repetitions", type=int, default=400, help="repetitions for set metrics")
    parser.add_argument("--resamples", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for clustered_coverage.md and .json")
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=METRICS)
    parser.add_argument("--pool", type=Path, nargs="+", help="folders of earlier --out, of other seeds")
    args = parser.parse_args()
    if args.pool:
        write(pooled(args.pool), args.out)
        return
    start, outcomes = time.monotonic(), []
    sets = {"fvd": FvdEvaluator(Features()), "kvd": KvdEvaluator(Features()), "jedi": JediEvaluator(Features())}
    for icc in args.icc:
        design = Design(args.prompts, args.seeds, icc)
        for skewed in (False, True) if "mean" in args.metrics else ():
            outcomes.append(mean_outcome(design, skewed, args.means, 1000, args.seed))
            print(table(outcomes[-1:]).splitlines()[-1], flush=True)
        for metric in (sets[name] for name in args.metrics if name in sets):
            outcomes.append(set_outcome(metric, design, args.d, args.repetitions, args.resamples, args.seed))
            print(table(outcomes[-1:]).splitlines()[-1], flush=True)
    used = {k: v for k, v in vars(args).items() if k not in ("out", "pool")}
    shown = {k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in used.items()}
    record = {
        "theme": "coverage of intervals and level of paired tests by prompt",
        "settings": used,
        "hardware": f"{cpu()}, {os.cpu_count()} CPU cores, 1 used",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "seconds": round(time.monotonic() - start),
        "command": "python benchmarks/clustered_coverage.py " + " ".join(f"--{k} {v}" for k, v in shown.items()),
        "results": [asdict(outcome) for outcome in outcomes],
    }
    if args.out:
        write(record, args.out)
    print("\n" + table(outcomes))
    print(json.dumps(record))


if __name__ == "__main__":
    main()
