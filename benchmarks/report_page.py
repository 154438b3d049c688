"""How long the page of a large run takes and how much memory, each part in a process of its own.

On a machine that does something else too, "of a core" is what counts.

    python benchmarks/report_page.py --cells 100 --clips 2048 --out benchmarks/results/report_page.md

The run is made up: cells whose values differ by chance, clips of smooth colours that move, of which only those that a
page can show are written (it opens no others). Prints a table, then one JSON line.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

METRICS = ("fvd", "kvd", "clipsim", "drift", "caption", "flicker")
PER_CLIP = METRICS[2:]
PARTS = {
    "page beside its previews": "from artv_eval.report.previews import beside\n"
    "text = page(results, store, beside(store.root))",
    "page again, previews kept": "from artv_eval.report.previews import beside\n"
    "text = page(results, store, beside(store.root))",
    "page to be mailed": "text = page(results, store)",
    "tables for other programs": "from artv_eval.results.per_clip import as_csv\n"
    "text = results.csv() + results.comparisons_csv() + as_csv(results.per_clip)",
    "LaTeX": "from artv_eval.report.latex import latex\ntext = latex()(results)",
}


def make_run(root: Path, cells: int, clips: int) -> None:
    """A finished run folder."""
    from artv_eval.api import GeneratedClip
    from artv_eval.results.documents import write_json
    from artv_eval.results.per_clip import as_csv
    from artv_eval.results.rows import ClipValues, Comparison, Curve, Results, Row
    from artv_eval.results.store import SHOWN, RunStore

    rng, store, rows, pairs, curves, per_clip = np.random.default_rng(0), RunStore(root), [], [], [], []
    names = [f"steps={i}" for i in range(cells)]
    for i, name in enumerate(names):
        for index in range(8):
            line = np.linspace(0, 255, 64)
            frames = np.stack([np.roll(np.add.outer(line, line) / 2, t + i + index, 0) for t in range(16)])
            frames = np.repeat(frames[..., None], 3, -1).astype(np.uint8)
            mask = rng.random((15, 16, 16), np.float32)
            store.save_clip(f"{i:016x}", index, GeneratedClip(frames, mask))
        for metric in METRICS:
            value = float(rng.normal(10, 1))
            of = {"ablation": "steps", "metric": metric, "n": clips}
            card = {"protocol": "shapes@1", "protocol_hash": "3cc45364e4eb", "higher_is_better": False}
            interval = {"ci_low": value - 0.1, "ci_high": value + 0.1}
            rows.append(Row(cell=name, method="artv", value=value, **interval, **card, **of))
            if i:
                tested = {"ci_low": value - 10.2, "ci_high": value - 9.8, "p_value": 0.01, "p_holm": 0.2}
                pairs.append(Comparison(a=names[0], b=name, difference=value - 10, standard_error=0.1, **tested, **of))
        for metric in PER_CLIP:
            curves.append(Curve(ablation="steps", cell=name, metric=metric, values=tuple(rng.random(16).tolist())))
            values = dict(enumerate(rng.normal(10, 1, clips).tolist()))
            per_clip.append(ClipValues(ablation="steps", cell=name, metric=metric, values=values))
    results = Results(run=str(root), rows=rows, comparisons=pairs, curves=curves)
    requests = [{"index": i, "prompt": f"prompt {i}", "seed": i, "fps": 8.0} for i in range(SHOWN)]
    described = [{"id": f"{i:016x}", "cell": name, "status": "ok"} for i, name in enumerate(names)]
    write_json(root / "gallery.json", {"requests": requests})
    write_json(root / "results.json", results.to_dict())
    (root / "per_clip.csv").write_text(as_csv(per_clip), encoding="utf-8")
    write_json(root / "manifest.json", {
        "command": ["artv-eval", "sweep"], "started": "2026-11-27T00:00:00Z", "num_videos": clips, "state": "finished",
        "versions": {}, "machine": {"system": "", "device": "cpu"}, "cells": described, "components": [], "metrics": [],
    })  # fmt: skip


def measure(root: Path, code: str) -> dict[str, float]:
    """Seconds of the part, and GiB and MB of text of the whole process, which reads the run too."""
    program = f"""
import json, resource, time
from pathlib import Path
from artv_eval.report.html import load_run, page
results, store = load_run(Path({str(root)!r}))
start, busy = time.perf_counter(), time.process_time()
{code}
seconds, cpu = time.perf_counter() - start, time.process_time() - busy
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({{"seconds": seconds, "cpu": cpu, "peak_gib": peak, "mb": len(text.encode()) / 1e6}}))
"""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "with_reading": time.perf_counter() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--clips", type=int, default=2048)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        make_run(root, options.cells, options.clips)
        found = {name: measure(root, code) for name, code in PARTS.items()}
    lines = [
        f"# The page of {options.cells} cells × {options.clips:,} clips",
        "",
        f"    python benchmarks/report_page.py --cells {options.cells} --clips {options.clips}",
        "",
        f"{len(METRICS)} metrics, {len(PER_CLIP)} with a value a clip. Python {sys.version.split()[0]}; one run.",
        "",
        "| what | seconds | of a core | with starting Python and reading the run | peak GiB | MB |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {name} | {row['seconds']:.1f} | {row['cpu']:.1f} | {row['with_reading']:.1f} | {row['peak_gib']:.2f} "
            f"| {row['mb']:.1f} |"
            for name, row in found.items()
        ),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"cells": options.cells, "clips": options.clips, "maker_gib": round(own, 2), **found}))


if __name__ == "__main__":
    main()
