"""What do the measures of long clips add to the default sweep of `shapes@1`? Clips of 16 × 64², one thread.

    python benchmarks/new_measures.py             # a minute on one core
    python benchmarks/new_measures.py --rounds 1 --clips 2 --out /tmp/new.md

A round makes a clip by the packaged model (``make``), describes ``--clips`` of them for the protocol's metrics
(``default``) and for every quantity of pictures and of the truth and the sliding-window metrics (``new``); metrics of
one digest share rows, and those of one encoder what it sees, as in a sweep. All three take turns and their processor
time is counted, so what else the machine does touches them alike. Reckoned for 64 clips; the default sweep has two
cells and real clips that ship described, so the share that the new ones add to it is new / (make + default).
"""

import argparse
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from artv_eval.api import ClipSet, GeneratedClip
from artv_eval.methods.artv import ArtV
from artv_eval.metrics import factories, window_factories
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.picture_curves import QUANTITIES
from artv_eval.metrics.truth import TRUTHS
from artv_eval.protocols.cards import load

DEFAULT = ("fvd", "kvd", "clipsim", "still_background_drift", "mask_auc", "caption")
WINDOWS = ("window_fvd", "window_kvd", "window_frame_fid")
CLIPS = 64


def seconds(work: Callable[[], object]) -> float:
    """Processor time."""
    started = time.process_time()
    work()
    return time.process_time() - started


def by_digest(metrics) -> dict[str, object]:
    """Name → metric, the first of each digest."""
    first = {metric.digest: metric for metric in reversed(metrics)}
    return {metric.name: metric for metric in reversed(first.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "new_measures.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    requests = list(load("shapes@1").requests(num=max(args.clips, args.rounds)))
    method = ArtV()
    mask = method.generate([requests[0].__class__(**{**vars(requests[0]), "num_frames": 2})])[0].mask  # loads the model
    mask = mask.repeat(requests[0].num_frames - 1, 0)
    clips = ClipSet(requests[: args.clips], lambda i: GeneratedClip(requests[i].real, mask))
    default = [getattr(factories, name)() for name in DEFAULT]
    new = [curve(name) for name in (*QUANTITIES, "flow_lk", "consistency", *TRUTHS)]
    new += [getattr(window_factories, name)() for name in WINDOWS]
    metrics = {"default": by_digest(default), "new": by_digest(new)}
    for each in metrics.values():
        for metric in each.values():
            metric.describe(clips.at([0]))  # what is loaded and compiled first
    spent: Counter[tuple[str, str]] = Counter()
    for k in range(args.rounds):
        clips.shared = {}
        spent["make", "clips"] += seconds(lambda k=k: method.generate([requests[k]])) * CLIPS / args.rounds
        for kind, each in metrics.items():
            for name, metric in each.items():
                share = CLIPS / args.clips / args.rounds
                spent[kind, name] += seconds(lambda metric=metric: metric.describe(clips)) * share
    total = {kind: sum(s for (of, _), s in spent.items() if of == kind) for kind in ("make", "default", "new")}
    share = total["new"] / (total["make"] + total["default"])
    lines = ["| what | seconds of 64 clips |", "|---|---|"]
    lines += [f"| {kind}: {name} | {value:.2f} |" for (kind, name), value in spent.items()]
    lines += [f"| {kind}, together | {value:.1f} |" for kind, value in total.items() if kind != "make"]
    lines += [f"| new / default, describing alone | {total['new'] / total['default']:.2f} |"]
    lines += [f"| new / (make + default) | {share:.3f} |"]
    machine = f"{platform.processor() or platform.machine()} CPU, one thread, torch {torch.__version__}"
    title = f"# What the measures of long clips add\n\n`python benchmarks/new_measures.py --clips {args.clips} "
    title += f"--rounds {args.rounds}`, {machine}, {time.strftime('%Y-%m-%d')}. Processor time; meanwhile "
    title += f"{os.getloadavg()[1]:.1f} processes wanted to run on {os.cpu_count()} cores.\n\n"
    args.out.write_text(title + "\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    print(json.dumps({"benchmark": "new_measures", "seconds": total, "share": share}))


if __name__ == "__main__":
    main()
