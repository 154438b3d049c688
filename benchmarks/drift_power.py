"""Which measure of drift sees which fault? Power on real clips of the second shapes world, damaged on purpose.

    python benchmarks/drift_power.py                    # seven minutes on a shared core
    python benchmarks/drift_power.py --camera moving    # the same of clips in which the camera moves
    python benchmarks/drift_power.py --pool 8 --frames 20 --out /tmp/power.md       # to try it

Two imperfect cells are made of the same clips: in each, objects start a pixel or two off and move up to a tenth too
fast or too slow, light wanders and a faint texture grows, independently. One of them has the fault as well, in one
clip of four. Power: the share of draws of n clips (with replacement, out of the pool) in which a paired t-test at level
0.05 tells the cells apart. The chance difference of the two cells without a fault is taken off first, for a pool that
is drawn from again and again would show it every time; ``nothing`` is what is left, and shows how often the test is
wrong. Intervals (95 %): over pools drawn from the pool, in the JSON for every value, in the table for the means.

Shape suffixes: n clips, T frames, H W pixels.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats

from artv.data.shapes_long import LongShapesWorld
from artv.data.shapes_truth import TruthWindow
from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.metrics.curve_factories import curve
from artv_eval.protocols.cards import load

SHARE, LEVEL, DRAWS, POOLS = 0.25, 0.05, 1000, 40
METRICS = (
    *("change/slope", "change/delta", "change_mean/slope", "change_mean/delta", "colour/delta", "exposure/delta_abs"),
    *("sharpness/delta_abs", "sharpness/vde", "sharpness/vde_even", "contrast/delta_abs", "saturation/delta_abs"),
    *("motion/level", "motion/below_half", "motion/peak", "frozen", "loops", "consistency", "consistency/delta"),
    *("flow_lk", "flow_lk/below_half", "flow_lk/peak"),
    *("background_error", "background_error/slope", "background_error/delta", "object_survival", "object_colour"),
    *("object_shape", "position_error", "size_error"),
)
NEED_WEIGHTS = {
    "flow": {"what": "flow"},
    "flow/below_half": {"what": "flow/below_half"},
    "consistency (dinov2)": {"what": "consistency", "feature": "dinov2"},
    "consistency (clip)": {"what": "consistency", "feature": "clip"},
    "consistency (dreamsim)": {"what": "consistency", "feature": "dreamsim"},
}
"""Measured where their weights are; elsewhere they have a row that says what is missing."""
STANDING = "a camera that stands: which way it moves, no prompt says"

Fault = Callable[[np.ndarray, TruthWindow, np.ndarray], np.ndarray]


def _ramp(frames: int) -> np.ndarray:
    return np.linspace(0, 1, frames)[:, None, None, None]


def _blurred(x: np.ndarray) -> np.ndarray:
    return (
        F.avg_pool2d(torch.from_numpy(x).permute(0, 3, 1, 2), 3, 1, 1, count_include_pad=False)
        .permute(0, 2, 3, 1)
        .numpy()
    )


def _late(x: np.ndarray, instead: np.ndarray) -> np.ndarray:
    """The last 40 % of the frames replaced."""
    start = round(0.6 * len(x))
    return np.concatenate([x[:start], instead[start:]])


FAULTS: dict[str, Fault] = {
    "nothing": lambda x, known, other: x,
    "freeze": lambda x, known, other: _late(x, np.broadcast_to(x[round(0.6 * len(x))], x.shape)),
    "loop": lambda x, known, other: np.concatenate([x[: len(x) // 2], x[: len(x) - len(x) // 2]]),
    "colour shift": lambda x, known, other: x + 8 * _ramp(len(x)) * np.array([1, 0, -1]),
    "blur grows": lambda x, known, other: x + 0.5 * _ramp(len(x)) * (_blurred(x) - x),
    "object vanishes": lambda x, known, other: _late(
        x, np.where((known.masks > 0).any(0)[..., None], known.background.astype(np.float32), x)
    ),
    "background repainted": lambda x, known, other: np.where(
        (known.masks > 0).any(0)[..., None], x, x + 0.2 * _ramp(len(x)) * (other - x)
    ),
    "cut": lambda x, known, other: _late(x, other),
}


def imperfect(world: LongShapesWorld, index: int, rng: np.random.Generator) -> tuple[np.ndarray, TruthWindow]:
    """A clip as a good model makes it, float (T, H, W, 3) in grey levels, and what is drawn in it."""
    plan = world.plan(np.array([index], np.uint64))
    plan |= {
        "begin": np.zeros(1, np.int64),
        "start": plan["start"] + rng.normal(0, 1.5, plan["start"].shape).astype(np.float32),
        "jitter": (plan["jitter"] + rng.normal(0, 0.3, plan["jitter"].shape)).astype(np.float32),
    }
    scene, layers = world.drawn(plan)
    frames = layers.frames[0].permute(0, 2, 3, 1).float().numpy()
    ground = (scene.ground[0] * 255).permute(0, 2, 3, 1).numpy()
    light = rng.normal(0, 0.4, (len(frames), 1, 1, 3)).cumsum(0)
    texture = F.interpolate(torch.from_numpy(rng.normal(0, 3, (1, 3, 9, 9))), frames.shape[1:3], mode="bicubic")
    frames = frames + light + _ramp(len(frames)) * texture[0].permute(1, 2, 0).numpy()
    nothing = np.zeros(0)  # that no fault asks for
    known = TruthWindow(
        frames=layers.frames[0].numpy(),
        background=np.broadcast_to(ground, frames.shape),
        masks=layers.masks[0].numpy(),
        motion=layers.motion[0].numpy(),
        centre=nothing,
        radius=nothing,
        in_view=nothing,
        seen=nothing,
        camera=nothing,
    )
    return frames.astype(np.float32), known


def cell(requests, world: LongShapesWorld, fault: str, seed: int) -> ClipSet:
    """The imperfect clips; one of four with the fault, the same ones for all faults."""

    def make(i: int) -> GeneratedClip:
        x, known = imperfect(world, requests[i].index, np.random.default_rng([seed, i]))
        if np.random.default_rng([7, i]).random() < SHARE:
            other, _ = imperfect(world, requests[(i + 1) % len(requests)].index, np.random.default_rng([seed, i, 1]))
            x = FAULTS[fault](x, known, other)
        return GeneratedClip(np.clip(x + 0.5, 0, 255).astype(np.uint8))

    return ClipSet(requests, make)


def available() -> tuple[dict[str, Any], dict[str, str]]:
    """Metrics by name, and why the others are not there."""
    found, absent = {name: curve(name) for name in METRICS}, {}
    for name, settings in NEED_WEIGHTS.items():
        try:
            found[name] = curve(**settings)
        except UserError as error:
            absent[name] = str(error).rpartition("; ")[2]  # how to fetch it, without this machine's paths
    return found, absent


def pool_of(world: LongShapesWorld, camera: str, size: int, frames: int) -> list[ClipRequest]:
    """The first clips with such a camera: it moves in one of five."""
    moves = world.plan(np.arange(10 * size, dtype=np.uint64))["reach"] > 0
    fits = {"any": np.ones_like(moves), "still": ~moves, "moving": moves}[camera]
    requests = load("shapes@2").requests(num=10 * size, frames=frames)
    return [requests[i] for i in np.flatnonzero(fits)[:size].tolist()]


def per_clip(metrics, clips: ClipSet) -> dict[str, np.ndarray]:
    """Values of every metric; metrics of one digest share rows, and clips are made once."""
    made = [clips[i] for i in range(len(clips))]
    kept = ClipSet(clips.requests, lambda i: made[i][1])
    rows: dict[str, np.ndarray] = {}
    for metric in metrics.values():
        if metric.digest not in rows:
            rows[metric.digest] = metric.describe(kept)
    return {name: metric.per_clip(rows[metric.digest]) for name, metric in metrics.items()}


def power(difference: np.ndarray, chance: np.ndarray, n: int, rng: np.random.Generator, draws: int = DRAWS) -> float:
    """Share of draws of n clips in which a paired t-test rejects, after ``chance`` (n,) was taken off on average."""
    there = np.isfinite(difference) & np.isfinite(chance)
    if there.sum() < 2:
        return float("nan")
    centred = difference[there] - chance[there].mean()
    drawn = centred[rng.integers(len(centred), size=(draws, n))]
    error = drawn.std(1, ddof=1) / np.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(drawn.mean(1)) / error
    t = np.where(error > 0, t, np.where(drawn.mean(1) == 0, 0, np.inf))
    return float((2 * stats.t.sf(t, n - 1) < LEVEL).mean())


def powers(differences: dict[str, np.ndarray], n: int) -> dict[str, list[float]]:
    """Fault → power and its interval; ``mean``: over the faults."""
    chance, rng = differences["nothing"], np.random.default_rng(3)
    value = {fault: power(difference, chance, n, rng) for fault, difference in differences.items()}
    value["mean"] = float(np.nanmean([value[fault] for fault in FAULTS if fault != "nothing"]))
    again: dict[str, list[float]] = {key: [] for key in value}
    for _ in range(POOLS):
        pool = rng.integers(len(chance), size=len(chance))
        one = {fault: power(d[pool], chance[pool], n, rng, 100) for fault, d in differences.items()}
        one["mean"] = float(np.nanmean([one[fault] for fault in FAULTS if fault != "nothing"]))
        for key, found in one.items():
            again[key].append(found)
    limits = {key: np.nanquantile(found, (0.025, 0.975)) for key, found in again.items()}
    return {key: [round(float(x), 3) for x in (value[key], *limits[key])] for key in value}


def table(found: dict[str, dict[str, list[float]]], n: int) -> str:
    """Markdown: a row a metric, sorted by its mean power over the faults."""
    faults = [name for name in FAULTS if name != "nothing"]
    lines = [f"| n = {n} | mean | {' | '.join((*faults, 'nothing'))} |", "|---" * (len(faults) + 3) + "|"]
    for metric in sorted(found, key=lambda metric: -found[metric]["mean"][0]):
        cells = [f"{found[metric][fault][0]:.2f}" for fault in (*faults, "nothing")]
        value, low, high = found[metric]["mean"]
        lines.append(f"| `{metric}` | {value:.2f} [{low:.2f}, {high:.2f}] | {' | '.join(cells)} |")
    return "\n".join(lines)


def missing(absent: dict[str, str]) -> str:
    """Markdown: what has no row, and why."""
    return "\n".join(["| not run here | it needs |", "|---|---|", *(f"| `{k}` | {why} |" for k, why in absent.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=64, help="clips that draws are taken from")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--camera", choices=("any", "still", "moving"), default="any")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    name = "drift_power" if args.camera == "any" else f"drift_power_{args.camera}"
    out = args.out or Path(__file__).parent / "results" / f"{name}.md"
    torch.set_num_threads(1)
    started = time.monotonic()
    world = LongShapesWorld("test", num_frames=args.frames)
    requests = pool_of(world, args.camera, args.pool, args.frames)
    metrics, absent = available()
    base = per_clip(metrics, cell(requests, world, "nothing", 1))
    values = {}
    for fault in FAULTS:
        values[fault] = per_clip(metrics, cell(requests, world, fault, 2))
        print(f"{fault}: {time.monotonic() - started:.0f} s", flush=True)
    differences = {metric: {fault: values[fault][metric] - base[metric] for fault in FAULTS} for metric in metrics}
    absent |= {metric: STANDING for metric, each in differences.items() if np.isnan(each["nothing"]).all()}
    there = {metric: each for metric, each in differences.items() if metric not in absent}
    found = {n: {metric: powers(each, n) for metric, each in there.items()} for n in (32, 256)}
    machine = f"{platform.processor() or platform.machine()} CPU, torch {torch.__version__}"
    command = f"python benchmarks/drift_power.py --pool {args.pool} --frames {args.frames} --camera {args.camera}"
    text = (
        f"# Which measure of drift sees which fault\n\n`{command}`, {time.strftime('%Y-%m-%d')}, {machine}, "
        f"{time.monotonic() - started:.0f} s. How it is done:\n"
        "the docstring of the script. The share of draws in which the fault is seen; mean over faults with its 95 % "
        f"interval.\n\n{table(found[32], 32)}\n\n{table(found[256], 256)}\n\n{missing(absent)}\n"
    )
    record = json.dumps(
        {"benchmark": "drift_power", "pool": args.pool, "frames": args.frames, "absent": absent, "power": found}
    )
    out.write_text(text, encoding="utf-8")
    out.with_suffix(".json").write_text(record + "\n", encoding="utf-8")
    print(text)
    print(record)


if __name__ == "__main__":
    main()
