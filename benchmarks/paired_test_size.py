"""How often do paired tests of per-clip differences reject where there is no difference?

    python benchmarks/paired_test_size.py                        # 10,000 repetitions a row: about 15 minutes on 1 core

For differences of mean 0 and several shapes, and n pairs: the share of p < 0.05 (it should be 0.05) of

- sign flips: of the mean, which is exact where differences are symmetric (what the harness did once);
- t: Student's;
- Johnson: his modified t (1978), which takes the skewness into account;
- harness: ``paired_test``, the larger p of sign flips and Johnson's.

Beside them, whether skewed differences look so: the share of samples with a skewness above 2 or below −2, of all and of
those that the harness rejects. Last, how many carry †, and how many are rejected without it.

Then the power of the same tests for normal differences of mean 0.6 standard deviations. Prints a table, then one JSON
line; --out writes both to files.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from scipy import stats

from artv_eval.metrics.statistics import few_pairs, johnson_p, mean_difference_p, sign_flip_p, skewed_pairs, skewness

NUMBERS = (6, 8, 13, 20, 32, 64)
Draw = Callable[[np.random.Generator, int], np.ndarray]
SHAPES: dict[str, Draw] = {
    "exponential": lambda rng, n: rng.exponential(size=n) - 1,
    "normal": lambda rng, n: rng.normal(size=n),
    "t, 3 degrees": lambda rng, n: rng.standard_t(3, size=n),
    "lognormal": lambda rng, n: rng.lognormal(size=n) - np.exp(0.5),
    "lognormal, σ 1.5": lambda rng, n: rng.lognormal(0, 1.5, n) - np.exp(1.125),
    "one in 20 large": lambda rng, n: (rng.random(n) < 0.05) - 0.05 + 0.02 * rng.normal(size=n),
    "shares, half of them 0": lambda rng, n: rng.choice([0.0, -0.5, 0.5, 1.0], p=[0.5, 0.3, 0.1, 0.1], size=n),
    "normal, mean 0.6": lambda rng, n: rng.normal(0.6, size=n),
}
TESTS: dict[str, Callable[[np.ndarray, int], float]] = {
    "sign flips": lambda x, k: sign_flip_p(x, flips=1000, seed=k),
    "t": lambda x, k: float(stats.ttest_1samp(x, 0).pvalue) if x.std() else float(not x.any()),
    "Johnson": lambda x, k: johnson_p(x),
    "harness": lambda x, k: mean_difference_p(x, seed=k, flips=1000),
}


def rejected(draw: Draw, n: int, repetitions: int, seed: int) -> dict[str, float]:
    """Test → share of p < 0.05; then the shares that look skewed."""
    rng = np.random.default_rng([seed, n])
    samples = [draw(rng, n) for _ in range(repetitions)]
    found = {name: np.array([test(x, k) < 0.05 for k, x in enumerate(samples)]) for name, test in TESTS.items()}
    looks = np.array([abs(skewness(x)) > 2 for x in samples])
    its = looks[found["harness"]]
    caveats = np.array([bool(few_pairs(n) or skewed_pairs(n, skewness(x))) for x in samples])
    marked = {"with †": float(caveats.mean()), "rejected without †": float((found["harness"] & ~caveats).mean())}
    skewed = {"look skewed": float(looks.mean()), "of rejected": float(its.sum() / max(len(its), 1))}
    return {name: float(hits.mean()) for name, hits in found.items()} | skewed | marked


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for paired_test_size.md and .json")
    args = parser.parse_args()
    start, rows = time.monotonic(), []
    for shape, draw in SHAPES.items():
        for n in NUMBERS:
            rows.append({"differences": shape, "n": n, **rejected(draw, n, args.repetitions, args.seed)})
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += [
        "| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in r.values()) + " |" for r in rows
    ]
    error = float(np.sqrt(0.05 * 0.95 / args.repetitions))
    record = {
        "theme": "size and power of paired tests of means over clips",
        "command": f"python benchmarks/paired_test_size.py --repetitions {args.repetitions} --seed {args.seed}",
        "monte_carlo_error": round(error, 4),
        "hardware": f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPU cores, 1 used",
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
        "seconds": round(time.monotonic() - start),
        "results": rows,
    }
    print("\n".join(lines))
    print(json.dumps(record))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "paired_test_size.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        about = f"`{record['command']}`, {record['hardware']}, numpy {np.__version__}, scipy {scipy.__version__}"
        note = f"{about}, {record['seconds']} s. Share of p < 0.05; one Monte-Carlo standard error {error:.4f} at 0.05."
        text = "\n".join(["# Size of paired tests", "", f"{note} The last rows are power.", "", *lines, ""])
        (args.out / "paired_test_size.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
