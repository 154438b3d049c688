"""A sweep that trains its cells, killed at random moments and started again: does it end with the same table?

A scenario of ``sweeps.py``: two trainings of the mask pair each, of networks of a few thousand weights, on a CPU.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from sweep_processes import EVAL, finish, left_half_written, start

KILLS, A_ROUND, SEED = 20, 5, 15
VIDEOS, SEEDS = 16, 2
NETWORKS = """
training:
  networks:
    dynamic: {channels: [16, 16], heads: [2, 2], attention: [false, true], layers: 1, text_dim: 96, sample_size: 16,
              norm_groups: 8, out_channels: 4}
    mask: {channels: [8, 8], heads: [1, 1], attention: [false, true], layers: 1, text_dim: 96, sample_size: 16,
           norm_groups: 8, out_channels: 1}
"""
SETTINGS = "clips=16 num_frames=4 model.batch_size=4 model.warmup=5 model.save_minutes=0.005"


def command(where: str) -> list[str]:
    """The sweep with a store of twins and a store of clips of its own."""
    small = [word for setting in SETTINGS.split() for word in ("--set", f"training.{setting}")]
    what = ["--ablation", "mask", "--train", "--train-seeds", str(SEEDS), "--train-steps", "30", *small]
    sizes = ["--settings", "networks.yaml", "--num-videos", str(VIDEOS), "--frames", "6", "--steps", "3"]
    how = ["--batch-size", "4", "--no-sanity", "--metrics", "fvd,kvd,drift", "--format", "json"]
    return [*EVAL, "sweep", *what, *sizes, *how, "--out", f"{where}/run", "--twins", f"{where}/twins"]


def trainings(folder: Path) -> dict[str, Any]:
    """kill −9 of a sweep with 4 trainings, up to 5 times, at moments drawn over the seconds of the undisturbed one.

    In every second sweep all its processes are killed, in the others the main one alone, whose training must then end.
    A sweep that ended before its next kill is followed by a new one.
    """
    (folder / "networks.yaml").write_text(NETWORKS, encoding="utf-8")
    finish(command("warm"), folder)  # which compiles
    took, draw, hit, began = finish(command("a"), folder), random.Random(SEED), Counter[str](), time.monotonic()
    rounds = 0
    while hit.total() < KILLS:
        moments = sorted(draw.uniform(0, took) for _ in range(A_ROUND))
        for earlier, moment in pairwise([0.0, *moments]):
            victim = start(command(f"b{rounds}"), folder)
            time.sleep(moment - earlier)
            _kill(victim.pid, tree=rounds % 2 == 0)
            if victim.wait().returncode != -signal.SIGKILL:  # it had ended: the machine was less busy than before
                break
            hit[_phase(folder / f"b{rounds}")] += 1
            print(f"round {rounds}: killed at {moment:.1f} of {took:.1f} s", dict(hit), file=sys.stderr)
        finish(command(f"b{rounds}"), folder)
        rounds += 1
    whole, rest = _outcome(folder / "a"), [_outcome(folder / f"b{k}") for k in range(rounds)]
    return {
        "seed": SEED, "sweeps": rounds, "kills": hit.total(), "killed_in": dict(sorted(hit.items())),
        "undisturbed_seconds": round(took, 1), "seconds": round(time.monotonic() - began),
        "values": len(whole["rows"]) + len(whole["comparisons"]),
        **{f"same_{part}": all(item[part] == whole[part] for item in rest) for part in whole},
        "left_half_written": sum(left_half_written(folder / f"b{k}") for k in range(rounds)),
    }  # fmt: skip


def _kill(pid: int, *, tree: bool) -> None:
    """The sweep, and what it started with it; or the sweep alone, whose training must then end by itself."""
    for process in [pid, *(_below(pid) if tree else ())]:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _below(pid: int) -> list[int]:
    """Processes that it started, and those that they did."""
    asked = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, encoding="utf-8", check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in asked.splitlines()]
    found = [child for child, parent in pairs if parent == pid]
    return found + [below for child in found for below in _below(child)]


def _phase(where: Path) -> str:
    """What it was at, by what is there."""
    if len(list(where.glob("twins/*/finished.json"))) < 2 * SEEDS:
        return "trainings"
    return "clips" if len(list(where.glob("run/clips/*/*.npz"))) < 2 * SEEDS * VIDEOS else "scores"


def _outcome(where: Path) -> dict[str, Any]:
    """Every number of the results, bit for bit, and the digests of the trained weights."""
    results = json.loads((where / "run/results.json").read_text(encoding="utf-8"))
    twins = {
        file.parent.name: json.loads(file.read_text(encoding="utf-8"))["digest"]
        for file in where.glob("twins/*/finished.json")
    }
    return {part: results[part] for part in ("rows", "comparisons", "curves", "notes")} | {"weights": twins}
