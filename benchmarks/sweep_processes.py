"""What the scenarios of ``sweeps.py`` share: commands of small sweeps, their processes, and runs beside each other."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests import warm

EVAL = [sys.executable, "-m", "artv_eval"]
SHORT = ["--frames", "4", "--metrics", "drift", "--no-sanity", "--format", "json"]
WAIT = "SWEEPS_WAIT"
IMPORTED = ("artv_eval.sweep.run", "artv.pipeline", "artv_eval.methods.artv")
PLUGIN = """
import os
import time

from artv_eval import CellSpec, Component, GeneratedClip, hookimpl


@hookimpl
def register_methods():
    return [
        Component("waits", f"{__name__}:Waits", "gives the real clip after a while"),
        Component("slow", f"{__name__}:Slow", "artv, slower where the environment says so"),
    ]


@hookimpl
def register_ablations():
    return [Component("waiting", f"{__name__}:waiting", "one method, twice")]


class Waits:
    def __init__(self, *, seconds: float = 0.05, number: int = 0):
        self.seconds = seconds

    def generate(self, requests):
        for request in requests:
            time.sleep(self.seconds)
            yield GeneratedClip(request.real)


def waiting(*, seconds: float = 0.05):
    return lambda context: [
        CellSpec(name=f"number={n}", method="waits", settings={"number": n, "seconds": seconds}) for n in (1, 2)
    ]


def __getattr__(name):
    if name != "Slow":
        raise AttributeError(name)
    from artv_eval.methods.artv import ArtV  # which takes too long where plugins are found

    class Slow(ArtV):
        def generate(self, requests):
            time.sleep(float(os.environ.get("SWEEPS_WAIT", 0)) * len(requests))
            return super().generate(requests)

    return Slow
"""


def sweep(folder: Path, *arguments: str, videos: int, out: str = "run", waiting: bool = False) -> list[str]:
    """The command of a sweep of two cells in ``folder``: of the model, or of the method that waits."""
    plan = ["--ablation", "waiting"] if waiting else ["slow.yaml"]
    base = ["sweep", *plan, "--num-videos", str(videos), "--out", out, *SHORT]
    batches = [] if "--batch-size" in arguments else ["--batch-size", "4"]
    return [*EVAL, "--plugins-dir", str(folder / "plugins"), *base, *batches, *arguments]


def start(command: list[str], folder: Path, wait: float = 0.0) -> warm.Process:
    """A process of its own without the seconds of imports. ``wait``: seconds a clip, of the model."""
    return warm.Process(warm.server(IMPORTED), tuple(command[2:]), folder, {WAIT: str(wait)})


def finish(command: list[str], folder: Path) -> float:
    """Runs it to its end; seconds."""
    started = time.monotonic()
    done = start(command, folder).wait(600)
    assert done.returncode == 0, done.stderr[-2000:]
    print(f"ended in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return time.monotonic() - started


@contextmanager
def begun(command: list[str], folder: Path, wait: float) -> Iterator[subprocess.Popen]:
    """A process group of its own, which is killed at the end. ``wait``: seconds a clip."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, WAIT: str(wait)},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def clips(run: Path) -> dict[str, np.ndarray]:
    """Frames of all clips of a run folder; every file is read to its end."""
    return {f"{path.parent.name}/{path.stem}": np.load(path)["frames"] for path in run.glob("clips/*/*.npz")}


def compared(one: Path, other: Path) -> dict[str, Any]:
    """Whether two runs have the same clips, how often clips were begun and what is left of broken writes."""
    a, b = clips(one), clips(other)
    notes = [
        json.loads(line) for file in (other.parent / "store" / "made").glob("*") for line in file.open(encoding="utf-8")
    ]
    store = other.parent / "store"
    return {
        "clips": len(b),
        "same_as_undisturbed": a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a),
        "begun_again": sum(len(note["indices"]) for note in notes) - len(b),
        "left_half_written": left_half_written(store),
    }


def left_half_written(folder: Path) -> int:
    """Files that a killed write left, and those that were set aside."""
    return len([*folder.rglob(".artv-*.part"), *folder.rglob("*.damaged")])
