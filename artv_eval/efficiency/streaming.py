"""The speed card: how fast a method gives frames to whoever waits for them. Measured on the clock, nothing modelled.

A method that streams (``stream``) gives frames as they are made; of any other the whole clip is one chunk. Three
passes: a short one that is not counted (compiling, first allocations), one for times, memory and energy, and one in
which calls of the decoder are timed, so that the rate without decoding can be told. A whole clip's decoder, which is
called at its end, is timed in the second pass.

    first_frame_s        from the call to the first frame that was not given
    gap_*_s              between chunks of frames
    steady_frames_s      over the second half of the chunks, where every window is full
    real_time_factor     that, over the clip's frames a second: above 1 it keeps up
    stalls, stalled_s    of a player that begins with the first chunk and shows fps frames a second
    delay_s              by which it would have to begin later, never to stall

Shape suffixes: B clips, C chunks, T frames, H W pixels.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from artv.errors import UserError
from artv.files import read_text
from artv_eval.api import ClipRequest, FailedClip, NextFrames
from artv_eval.efficiency.cuda import GIB, energy_mj, release
from artv_eval.extras import MethodExtras, optional
from artv_eval.plugins.recipe import Recipe, build, recipe
from artv_eval.results.rows import reason

ALIKE = 0.02  # by which the first frame and the gaps may miss the whole …
NOISE = 0.02  # … and seconds by which they may in any case
WARM_FRAMES = 9  # of the pass that is not counted, for methods that stream


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a speed says nothing without. ``precision``: of the weights, as torch calls it; ``steps``: of a sampler."""

    method: str
    hardware: str
    precision: str
    width: int
    height: int
    frames: int
    fps: float
    steps: int
    batch: int

    @classmethod
    def of(cls, **known: Any) -> "Conditions":
        """Raises UserError where one is not known: such a row is not made."""
        lacking = [name for name in cls.__dataclass_fields__ if not known.get(name)]
        if lacking:
            raise UserError(
                f"the speed of {known.get('method')} says nothing without its {' and '.join(lacking)}; the method has "
                "to say them (MethodExtras.conditions; of a command file its fields precision and steps)"
            )
        return cls(**known)


@dataclass(frozen=True)
class Arrivals:
    """When chunks came, (C,) seconds after the call, how many frames were in each, and when it was over.

    ``given``: frames before the first of these that were not made; ``gib``: (C,) the largest memory so far, on a GPU.
    """

    seconds: np.ndarray
    frames: np.ndarray
    total: float
    given: int = 0
    gib: np.ndarray | None = None


def watched(
    make: Callable[[], Iterator[NextFrames]], requests: Sequence[ClipRequest], gpu: bool = False, given: int = 0
) -> Arrivals:
    """Takes all frames as they come. Raises UserError for fewer than were asked for, or clips that failed.

    ``given``: frames at the beginning that are no work: they are no arrival.
    """
    seconds, counts, gib, came = [], [], [], 0
    if gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    for some in make():
        now = time.perf_counter() - began
        if some.failed:
            raise UserError(f"a clip failed: {next(iter(some.failed.values()))}")
        came += some.frames.shape[1]
        if came > given:
            seconds.append(now)
            counts.append(min(some.frames.shape[1], came - given))  # a chunk may begin with given ones
            gib.append(torch.cuda.max_memory_allocated() / GIB if gpu else 0.0)
    total = time.perf_counter() - began
    if came < requests[0].num_frames or not seconds:
        raise UserError(f"{came} frames came; {requests[0].num_frames} were asked for")
    return Arrivals(np.array(seconds), np.array(counts), total, given, np.array(gib) if gpu else None)


def figures(found: Arrivals, fps: float) -> dict[str, Any]:
    """The columns that follow from arrivals alone."""
    at, frames = found.seconds, found.frames
    gaps = np.diff(at)
    first, made, C = float(at[0]), int(frames.sum()), len(at)
    half = C // 2
    steady = frames[half:].sum() / (found.total - at[half - 1]) if C > 1 else made / found.total
    due = at[0] + np.concatenate([[0], np.cumsum(frames)[:-1]]) / fps  # of each chunk, for a player that began at once
    late = np.maximum.accumulate(np.maximum(at - due, 0.0))
    misses = np.diff(late, prepend=0.0)
    return {
        "chunks": C,
        "given_frames": found.given,
        "first_frame_s": first,
        **{f"gap_{name}_s": float(np.quantile(gaps, q)) if C > 1 else None for name, q in QUANTILES.items()},
        "frames_s": made / found.total,
        "steady_frames_s": float(steady),
        "real_time_factor": float(steady / fps),
        "stalls": int((misses > 1e-9).sum()),
        "stalled_s": float(misses.sum()),
        "delay_s": float(late[-1]),
        "total_s": found.total,
        "memory_gib": None if found.gib is None else float(found.gib[-1]),
        "memory_growth_mib_frame": _growth(found),
    }


QUANTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99}


def _growth(found: Arrivals) -> float | None:
    """MiB a frame over the second half of the chunks: 0 where memory does not grow with the clip."""
    C = len(found.seconds)
    if found.gib is None or C < 4:
        return None
    later = found.gib[-1] - found.gib[C // 2]
    return float(later * 1024 / found.frames[C // 2 + 1 :].sum())


def status_of(found: Arrivals) -> str:
    """``ok`` where the first frame and the gaps make up the whole, to 2 %."""
    parts = found.seconds[0] + np.diff(found.seconds).sum()
    if abs(parts - found.total) <= max(ALIKE * found.total, NOISE):
        return "ok"
    return f"failed: the first frame and the gaps take {parts:.3f} s, and the whole {found.total:.3f} s"


def measure(name: str, method: Any, requests: Sequence[ClipRequest], hardware: str, gpu: bool) -> dict[str, Any]:
    """A row of the speed card.

    Args:
        requests: the clips of a batch, made together.
        hardware: the card's name.
        gpu: whether the method runs on the current GPU, so that its memory and energy are measured.

    Raises:
        UserError: what the row needs is not known, or the method cannot make such clips.
    """
    first = requests[0]
    known = optional(method, MethodExtras, "conditions")()
    conditions = Conditions.of(
        method=name,
        hardware=hardware,
        width=first.width,
        height=first.height,
        frames=first.num_frames,
        fps=first.fps,
        batch=len(requests),
        precision=known.get("precision"),
        steps=known.get("steps"),
    )
    streams = _streams(method, requests)
    warm = [replace(r, num_frames=min(WARM_FRAMES, r.num_frames)) for r in requests] if streams else list(requests)
    watched(lambda: _chunks(method, warm), warm)
    if gpu:
        release()
    given = known.get("given_frames", 0) if first.first_frame is not None else 0
    decoder = optional(method, MethodExtras, "decoder")()
    with timed(*decoder) if decoder and not streams else nullcontext(None) as spent:
        before = energy_mj() if gpu else None
        found = watched(lambda: _chunks(method, requests), requests, gpu, given)
        after = energy_mj() if gpu else None
    total = found.total
    if decoder and streams:
        with timed(*decoder) as spent:
            total = watched(lambda: _chunks(method, requests), requests).total
    share = None if spent is None else min(sum(spent) / total, 1.0)
    made = int(found.frames.sum()) * len(requests)
    energy = None if before is None or after is None else (after - before) / 1e3 / made
    values = figures(found, first.fps)
    return {
        **asdict(conditions),
        "streams": streams,
        **values,
        "decode_share": share,
        "steady_frames_s_undecoded": values["steady_frames_s"] / (1 - share) if share not in (None, 1) else None,
        "energy_j_frame": energy,
        "status": status_of(found),
    }


def _streams(method: Any, requests: Sequence[ClipRequest]) -> bool:
    return optional(method, MethodExtras, "stream")(requests) is not None


def _chunks(method: Any, requests: Sequence[ClipRequest]) -> Iterator[NextFrames]:
    made = optional(method, MethodExtras, "stream")(requests)
    if made is not None:
        yield from made
        return
    clips = list(method.generate(requests))
    failed = {b: clip.reason for b, clip in enumerate(clips) if isinstance(clip, FailedClip)}
    if failed:
        raise UserError(f"a clip failed: {next(iter(failed.values()))}")
    yield NextFrames(np.stack([clip.frames for clip in clips]))


@contextmanager
def timed(owner: Any, name: str) -> Iterator[list[float]]:
    """Seconds of every call of ``owner.name`` while the block runs; on a GPU each is waited for."""
    call, before, spent = getattr(owner, name), vars(owner).get(name), list[float]()
    wait = torch.cuda.synchronize if torch.cuda.is_available() else nullcontext

    def watched_call(*arguments: Any, **others: Any) -> Any:
        wait()
        began = time.perf_counter()
        result = call(*arguments, **others)
        wait()
        spent.append(time.perf_counter() - began)
        return result

    object.__setattr__(owner, name, watched_call)
    try:
        yield spent
    finally:
        object.__delattr__(owner, name)
        if before is not None:
            object.__setattr__(owner, name, before)


def recipes_of(manager: Any, names: Sequence[str], given: Mapping[str, Mapping[str, Any]]) -> dict[str, Recipe]:
    """The methods of these names, by them.

    Args:
        manager: an ``artv_eval.plugins.manager.PluginManager``.
        given: settings by the method's name.

    Raises:
        UserError: an unknown method or setting.
    """
    recipes = {}
    for name in names:
        entry = manager.find("methods", name)
        recipes[name] = recipe(manager, "methods", name, given.get(entry.component.name, {}))
    known = [made.name for made in recipes.values()]
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise UserError(f"--set names {unknown[0]!r}, and the methods are {', '.join(known)}")
    return recipes


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The clip that every method is asked for."""

    width: int
    height: int
    frames: int
    fps: float


def cells_of(prepared: Any, run: Path) -> tuple[dict[str, Recipe], Asked]:
    """The methods of a run's cells, by the names of these, with all that was set; and what its clips are like.

    ``prepared``: the run, planned again (``artv_eval.sweep.verify.again``). Of several trainings of a cell the first
    stands for all.

    Raises:
        UserError: the run has no cell of its own, or two that differ of one name.
    """
    found = dict[str, Recipe]()
    for cell in prepared.cells:
        if cell.method is None or cell.sanity:
            continue
        if cell.seed is None and found.setdefault(cell.name, cell.method) != cell.method:
            raise UserError(f"{run} has two cells {cell.name} of two ablations that differ; give a run of one of them")
        found.setdefault(cell.name, cell.method)
    if not found:
        raise UserError(f"{run} has no cell that can be run here; name methods with --method")
    one = prepared.requests[0]
    return found, Asked(width=one.width, height=one.height, frames=one.num_frames, fps=one.fps)


def rows_of(
    manager: Any, recipes: Mapping[str, Recipe], asked: Asked, *, batch: int, device: str
) -> Iterator[dict[str, Any]]:
    """A row a method, as soon as it is there; what cannot be measured is a status."""
    requests = [_request(b, asked) for b in range(batch)]
    gpu = device.startswith("cuda")
    hardware = torch.cuda.get_device_name(device) if gpu else cpu_name()
    for name, made in recipes.items():
        row = {"method": name, "hardware": hardware, **asdict(asked)}
        try:
            method = build(manager, made, {"device": device})
            extra = partial(optional, method, MethodExtras)
            if (why := extra("unavailable")() or extra("unsuited")(requests[0])) is not None:
                row["status"] = f"not available: {why}"
            else:
                row = measure(name, method, requests, hardware, gpu)
        except Exception as error:  # whatever a plugin raises: the others are measured all the same
            row["status"] = reason(error)
        yield row


def _request(index: int, asked: Asked) -> ClipRequest:
    """A prompt and a picture to begin with, for methods that take one."""
    picture = np.random.default_rng(index).integers(0, 256, (asked.height, asked.width, 3), dtype=np.uint8)
    return ClipRequest(
        index=index,
        prompt="a red circle moves to the right",
        seed=index,
        num_frames=asked.frames,
        height=asked.height,
        width=asked.width,
        fps=asked.fps,
        first_frame=picture,
    )


def cpu_name() -> str:
    """The processor's name where Linux tells it."""
    file = Path("/proc/cpuinfo")
    lines = read_text(file).splitlines() if file.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
