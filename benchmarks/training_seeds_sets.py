"""Do tests of methods keep their size in FVD and KVD over training seeds? Simulated from rows to the p-value.

    python benchmarks/training_seeds_sets.py --repetitions 1000 --out benchmarks/results

Two equal methods, S trainings each, n clips of the same prompts. A clip's features (d = 8) are half what the prompt
gives to every model and half the model's own; a training moves all of its features by a vector of its own, N(0,
spread²) in each direction, and all are 0.3 from a reference of 512. Columns: ``ratio``, the standard deviation of the
metric between trainings over its standard error over clips, as estimated; ``size`` of the 5 % test of the method;
``rejects checkpoints``: how often the test of these models does; ``coverage``: how often the interval of one method's
value holds the mean value over all experiments, which are other trainings.
"""

import itertools
from typing import Any

import numpy as np
from simulated import begun, simulate, table

from artv_eval.metrics.fvd import FvdEvaluator
from artv_eval.metrics.kvd import KvdEvaluator
from artv_eval.metrics.training_seeds import Measured, measured, over_seeds

SEEDS, SPREADS, CLIPS, D = (2, 3, 4, 8), (0.0, 0.1, 0.3), (20, 64, 512), 8


class Features:
    """Stands for an extractor; the evaluators only need its names."""

    name, digest, dim = "gaussian", "0", D


METRICS = {"fvd": FvdEvaluator(Features(), name="fvd"), "kvd": KvdEvaluator(Features())}
PLACES = itertools.product(METRICS, SEEDS, CLIPS, SPREADS)


def models(S: int, n: int, spread: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows (n, d) of S trainings of one method and then of the other."""
    prompts = rng.normal(size=(n, D))
    own, moved = rng.normal(size=(2 * S, n, D)), spread * rng.normal(size=(2 * S, 1, D))
    return list(0.3 + (prompts + own) / np.sqrt(2) + moved)


def experiment(name: str, S: int, n: int, spread: float, reference: np.ndarray, seed: int) -> Measured:
    """The metric of all 2 S models."""
    rows = models(S, n, spread, np.random.default_rng([S, n, round(100 * spread), seed]))
    return measured(METRICS[name], rows, reference, resamples=200, seed=seed)


def run(name: str, S: int, n: int, spread: float, repetitions: int) -> dict[str, float | str]:
    """One row."""
    reference = np.random.default_rng(0).normal(size=(512, D))
    found = [experiment(name, S, n, spread, reference, seed) for seed in range(repetitions)]
    pairs = [over_seeds(item.difference(range(S), range(S, 2 * S))) for item in found]
    values = [over_seeds(item.at(range(S))) for item in found]
    truth = float(np.mean([item.values for item in found]))
    spreads = np.mean([item.sd_trainings**2 for item in values]) / np.mean([item.se_clips**2 for item in values])
    return {
        "metric": name,
        "seeds": S,
        "clips": n,
        "spread": spread,
        "ratio": round(float(np.sqrt(spreads)), 2),
        "size": float(np.mean([item.p_value < 0.05 for item in pairs])),
        "coverage": float(np.mean([item.low <= truth <= item.high for item in values])),
        "rejects_checkpoints": float(np.mean([item.p_checkpoints < 0.05 for item in pairs])),
    }


def report(record: dict[str, Any]) -> str:
    """What lies outside the aim, and one line a row."""
    lines = begun(record, "FVD and KVD over training seeds, simulated")
    lines += ["", "| metric | clips | size | coverage |", "|---|---|---|---|"]
    for name, n in itertools.product(METRICS, CLIPS):
        rows = [row for row in record["results"] if (row["metric"], row["clips"]) == (name, n)]
        ranges = [[row[column] for row in rows] for column in ("size", "coverage")]
        lines.append(f"| {name} | {n} | " + " | ".join(f"{min(r):.3f}–{max(r):.3f}" for r in ranges) + " |")
    missed = [row for row in record["results"] if not (0.03 <= row["size"] <= 0.07 and 0.93 <= row["coverage"] <= 0.97)]
    said = "; ".join("{metric} of {clips} over {seeds}, spread {spread:g}".format(**row) for row in missed) or "none"
    outside = f"Outside 3 to 7 % or 93 to 97 %: {len(missed)} of {len(record['results'])} ({said})."
    return "\n".join([*lines, "", outside, "", *table(record["results"])]) + "\n"


if __name__ == "__main__":
    simulate(__file__, __doc__, "tests and intervals of set metrics over training seeds", run, PLACES, report, 1_000)
