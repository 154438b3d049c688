"""A small training on a CPU, killed (-9) at random instants and started again: does it end with the same weights?

    python benchmarks/training_kills.py --out benchmarks/results/training_kills.json

``artv train`` from the start of its process on, so that kills fall into imports, the making of latents, the first
steps, and, as a state is written whenever the one before is, into the writing of states. A run that ends before its
kill is compared and followed by a new one.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

SMALL = {"layers": 1, "text_dim": 96, "sample_size": 16, "attention": [False, True]}
SETTINGS = {
    "clips": 24, "num_frames": 4, "stream": True, "workers": 1, "validate_every": 40, "validation_clips": 4,
    "sample_every": 0, "trackers": [],
    "model": {"batch_size": 4, "warmup": 5, "save_minutes": 0},
    "networks": {
        "dynamic": {"channels": [16, 16], "heads": [2, 2], "norm_groups": 8, "out_channels": 4, **SMALL},
        "mask": {"channels": [8, 8], "heads": [1, 1], "norm_groups": 8, "out_channels": 1, **SMALL},
    },
}  # fmt: skip
WEIGHTS = ("model/state/*.safetensors", "pipeline/**/*.safetensors", "best/**/*.safetensors")


def started(run: Path, settings: Path, steps: int) -> subprocess.Popen:
    command = ["train", "--preset", "shapes", "--out", str(run), "--config", str(settings), "--steps", str(steps)]
    command += ["--components", "shapes", "--stages", "model", "--device", "cpu"]
    return subprocess.Popen([sys.executable, "-m", "artv", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def phase(run: Path) -> str:
    """What a killed process was at, by what it left."""
    if (run / "model" / "state.new").exists():
        return "writing a state"
    if any(run.glob("*.new")):
        return "writing the pipeline"
    if (run / "model" / "state").exists():
        return "after the first state"
    return "before the first state"


def digests(run: Path) -> dict[str, str]:
    """SHA-256 of all weights, averages and moments that it made, those of its best step too."""
    files = sorted(file for pattern in WEIGHTS for file in run.glob(pattern))
    return {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def finished(run: Path, settings: Path, steps: int) -> float:
    began = time.monotonic()
    process = started(run, settings, steps)
    _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(said.decode(errors="replace")[-500:])
    return time.monotonic() - began


def killed(folder: Path, settings: Path, steps: int, kills: int, seed: int) -> dict[str, Any]:
    """The figures of one measurement."""
    seconds = finished(folder / "whole", settings, steps)
    expected, draw, hit, same, run = digests(folder / "whole"), random.Random(seed), Counter[str](), [], 0
    while hit.total() < kills:
        process = started(folder / f"run{run}", settings, steps)
        try:
            process.communicate(timeout=draw.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            hit[phase(folder / f"run{run}")] += 1
            print(f"kill {hit.total()}: {dict(hit)}", file=sys.stderr)
        else:
            same.append(digests(folder / f"run{run}") == expected)
            run += 1
    finished(folder / f"run{run}", settings, steps)
    same.append(digests(folder / f"run{run}") == expected)
    return {
        "seed": seed, "steps": steps, "kills": hit.total(), "killed_while": dict(sorted(hit.items())),
        "runs": len(same), "files_compared": len(expected), "bit_identical": all(same),
        "undisturbed_seconds": round(seconds, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/training_kills.json"))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=17)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name) / "settings.json"  # JSON is YAML
        settings.write_text(json.dumps(SETTINGS), encoding="utf-8")
        record = killed(Path(name), settings, arguments.steps, arguments.kills, arguments.seed)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
