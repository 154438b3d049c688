"""Which fault do distances on sliding windows see, and from how many clips? What drift_power.py lacks, being of a set.

    python benchmarks/drift_power_windows.py                        # eight minutes on a shared core
    python benchmarks/drift_power_windows.py --pool 8 --real 70 --draws 3 --numbers 32 --out /tmp/w.md       # to try it

The two imperfect cells and the faults are those of ``drift_power.py``. FVD and KVD (shapes features) and frame FID
(shapes-clip) of windows of 8 frames, one every 8, against real clips of the same world at the same place or anywhere.
Power: the share of draws of n clips (with replacement, out of the pool) in which the harness's own test of set metrics,
paired half-samples with Student's t, tells the cells apart at level 0.05. The cells' chance difference over the whole
pool is taken off first. Intervals are Wilson's 95 %, of the draws.

Shape suffixes: n clips, m real clips, d numbers a row.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drift_power import FAULTS, LEVEL, cell, missing, pool_of
from scipy import stats

from artv.data.shapes_long import LongShapesWorld
from artv_eval.api import ClipSet
from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.metrics import window_factories
from artv_eval.metrics.half_samples import Spread
from artv_eval.metrics.statistics import set_value
from artv_eval.protocols.cards import load

NAMES = tuple(f"window_{name}{place}" for name in ("fvd", "kvd", "frame_fid") for place in ("", "_anywhere"))
WINDOWS = {"length": 8, "stride": 8}
ABSENT = {"I3D and other networks": "their weights, and clips of their world"}


def wilson(count: int, draws: int) -> tuple[float, float]:
    """95 % interval of a share of so many draws."""
    found = stats.binomtest(count, draws).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def p_value(metric: Any, one: Any, other: Any, chance: float) -> float:
    """The p-value of the harness's paired test of a set metric, after ``chance`` was taken off the difference."""
    spread = Spread.of_halves(one.halves - other.halves)
    error = spread.standard_error(optional(metric, EvaluatorExtras, "quadratic"))
    apart = abs(one.value - other.value - chance)
    return 2 * float(stats.t.sf(apart / error, spread.n - 1)) if error > 0 else float(apart == 0)


def powers(
    metric: Any, rows: dict[str, np.ndarray], real_md: np.ndarray, n: int, draws: int, resamples: int
) -> dict[str, list[float]]:
    """Fault → power with its interval. ``rows``: of each fault, and of the cell that they are compared with (base)."""
    chance = metric.evaluate(rows["nothing"], real_md) - metric.evaluate(rows["base"], real_md)
    rng, seen = np.random.default_rng(3), dict.fromkeys(FAULTS, 0)
    for _ in range(draws):
        index_n = rng.integers(len(rows["base"]), size=n)
        found = {name: set_value(metric, each[index_n], real_md, resamples=resamples) for name, each in rows.items()}
        for fault in FAULTS:
            seen[fault] += p_value(metric, found[fault], found["base"], chance) < LEVEL
    return {fault: [round(x, 3) for x in (count / draws, *wilson(count, draws))] for fault, count in seen.items()}


def table(found: dict[str, dict[str, list[float]]], n: int) -> str:
    """Markdown: a row a metric."""
    faults = [name for name in FAULTS if name != "nothing"]
    lines = [f"| n = {n} | mean | {' | '.join((*faults, 'nothing'))} |", "|---" * (len(faults) + 3) + "|"]
    for metric, each in found.items():
        cells = ["{:.2f} [{:.2f}, {:.2f}]".format(*each[fault]) for fault in (*faults, "nothing")]
        mean = np.mean([each[fault][0] for fault in faults])
        lines.append(f"| `{metric}` | {mean:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def described(metrics: dict[str, Any], clips: ClipSet) -> dict[str, np.ndarray]:
    """Digest → rows (n, d): metrics of one digest share them, and clips are made once."""
    made = [clips[i][1] for i in range(len(clips))]
    kept = ClipSet(clips.requests, lambda i: made[i])
    return {digest: metric.describe(kept) for digest, metric in {m.digest: m for m in metrics.values()}.items()}


def page(found: dict[int, Any], given: str, started: float) -> str:
    """Markdown: what is known so far."""
    machine = f"{platform.processor() or platform.machine()} CPU, torch {torch.__version__}"
    return (
        f"# Which fault do distances on sliding windows see\n\n`python benchmarks/drift_power_windows.py {given}`, "
        f"{time.strftime('%Y-%m-%d')}, {machine}, {time.monotonic() - started:.0f} s. How it is done:\n"
        "the docstring of the script. The share of draws in which the fault is seen, with its 95 % interval.\n\n"
        + "\n\n".join([*(table(each, n) for n, each in found.items() if each), missing(ABSENT)])
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=64, help="clips that draws are taken from")
    parser.add_argument("--real", type=int, default=256, help="clips of the reference")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--numbers", type=int, nargs="+", default=[32, 256], help="clips of a draw")
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--resamples", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "drift_power_windows.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    started, world = time.monotonic(), LongShapesWorld("test", num_frames=args.frames)
    metrics = {name: getattr(window_factories, name)(**WINDOWS) for name in NAMES}
    requests = pool_of(world, "any", args.pool, args.frames)
    real = described(metrics, load("shapes@2").with_frames(args.frames).reference().at(range(args.real)))
    cells = {"base": ("nothing", 1), **{fault: (fault, 2) for fault in FAULTS}}
    rows = {name: described(metrics, cell(requests, world, *made)) for name, made in cells.items()}
    given = f"--pool {args.pool} --real {args.real} --draws {args.draws} --resamples {args.resamples}"
    found: dict[int, dict[str, dict[str, list[float]]]] = {n: {} for n in args.numbers}
    for n in args.numbers:
        for name, metric in metrics.items():
            its = {each: by_digest[metric.digest] for each, by_digest in rows.items()}
            found[n][name] = powers(metric, its, real[metric.digest], n, args.draws, args.resamples)
            print(f"n = {n}, {name}: {time.monotonic() - started:.0f} s", flush=True)
            args.out.write_text(page(found, given, started), encoding="utf-8")
    record = {"benchmark": "drift_power_windows", "pool": args.pool, "draws": args.draws, "power": found}
    args.out.with_suffix(".json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
