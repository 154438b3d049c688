"""What do the measures of long clips add to the default sweep of `shapes@1`? Seconds for clips of 16 × 64², one thread.

    python benchmarks/new_measures.py             # two minutes on one core
    python benchmarks/new_measures.py --clips 8 --made 2 --out /tmp/new.md

``make``: a cell's clips by the packaged model, of which ``--made`` are made and the rest reckoned at their pace.
``default``: describing them for the protocol's metrics. ``new``: for every quantity of pictures and of the truth, and
the sliding-window metrics; metrics of one digest share rows, as in a sweep. The default sweep has two cells and real
clips that ship described, so the share that the new ones add to it is new / (make + default).
"""

import argparse
import json
import platform
import time
from pathlib import Path

import torch

from artv_eval.api import ClipSet, GeneratedClip
from artv_eval.methods.artv import ArtV
from artv_eval.metrics import factories, window_factories
from artv_eval.metrics.curve_factories import curve
from artv_eval.metrics.picture_curves import QUANTITIES
from artv_eval.metrics.truth import TRUTHS
from artv_eval.protocols.cards import load

DEFAULT = ("fvd", "kvd", "clipsim", "drift", "mask_auc", "caption")
WINDOWS = ("window_fvd", "window_kvd", "window_frame_fid")


def described(metrics, clips: ClipSet) -> dict[str, float]:
    """Seconds by the name of the first metric of each digest."""
    seconds: dict[str, float] = {}
    done = set()
    for metric in metrics:
        if metric.digest not in done:
            done.add(metric.digest)
            started = time.perf_counter()
            metric.describe(clips)
            seconds[metric.name] = time.perf_counter() - started
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--made", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "new_measures.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    requests = list(load("shapes@1").requests(num=args.clips))
    method, few = ArtV(), requests[: args.made]
    method.generate([requests[0].__class__(**{**vars(few[0]), "num_frames": 2})])  # loads the model
    started = time.perf_counter()
    made = method.generate(few)
    make = (time.perf_counter() - started) / len(few) * args.clips
    clips = ClipSet(requests, lambda i: GeneratedClip(requests[i].real, made[i % len(made)].mask))
    default = [getattr(factories, name)() for name in DEFAULT]
    new = [curve(name) for name in (*QUANTITIES, "consistency", *TRUTHS)]
    new += [getattr(window_factories, name)() for name in WINDOWS]
    for metric in (*default, *new):
        metric.describe(clips.at([0]))  # what is loaded and compiled first
    found = {"default": described(default, clips), "new": described(new, clips)}
    total = {kind: sum(each.values()) for kind, each in found.items()}
    share = total["new"] / (make + total["default"])
    lines = ["| what | seconds |", "|---|---|", f"| make {args.clips} clips | {make:.1f} |"]
    lines += [f"| {kind}: {name} | {seconds:.2f} |" for kind, each in found.items() for name, seconds in each.items()]
    lines += [f"| default, together | {total['default']:.1f} |", f"| new, together | {total['new']:.1f} |"]
    lines += [f"| new / (make + default) | {share:.2f} |"]
    machine = f"{platform.processor() or platform.machine()} CPU, one thread, torch {torch.__version__}"
    title = f"# What the measures of long clips add\n\n`python benchmarks/new_measures.py --clips {args.clips} --made "
    title += f"{args.made}`, {machine}, {time.strftime('%Y-%m-%d')}.\n\n"
    args.out.write_text(title + "\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    print(json.dumps({"benchmark": "new_measures", "make": make, "seconds": found, "share": share}))


if __name__ == "__main__":
    main()
