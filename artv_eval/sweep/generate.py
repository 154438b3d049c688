"""Making the clips that are not there yet, a batch at a time, here or on other machines.

Shape legend: T frames, H W pixels, h w mask cells.
"""

import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import numpy as np

from artv.devices import cores
from artv.errors import UserError, WorkFailed
from artv_eval.api import ClipRequest, Executor, FailedClip, FailedTask, GeneratedClip, NextFrames, Task
from artv_eval.extras import MethodExtras, optional
from artv_eval.plugins.recipe import build, recipe_from
from artv_eval.results.clips import in_parts
from artv_eval.results.store import SHOWN, RunStore
from artv_eval.sweep.long_clips import store_streams
from artv_eval.sweep.plan import READY, Cell
from artv_eval.sweep.provenance import making
from artv_eval.sweep.work import SweepWork

PATIENCE = 600.0  # seconds for which another process may hold a batch
STORED_AT_ONCE = 4  # clips, by a process
NO_MEMORY = ("out of memory", "t allocate memory", "not enough memory", "status_alloc_failed", "resource_exhausted")
"""Words of libraries: of CUDA itself, PyTorch on CPUs, cuDNN and cuBLAS, XLA."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Part ``index`` (from 1) of ``count``: the clips whose position is ``index − 1`` modulo ``count``."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str | None) -> "Shard":
        """From ``i/n``. Raises UserError if it is not 1 ≤ i ≤ n."""
        if text is None:
            return cls()
        first, _, second = text.partition("/")
        if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
            raise UserError(f"--shard is {text!r}; it must be i/n with 1 ≤ i ≤ n, for example 1/4")
        return cls(index=int(first), count=int(second))

    def part(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items of this shard."""
        return items[self.index - 1 :: self.count]


@dataclass(frozen=True, kw_only=True)
class Done:
    """``clips`` of a task are there, or are known to fail; those ``elsewhere`` another process was making."""

    clips: int
    elsewhere: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What stopped tasks of a cell: the first of it, and the positions of all their requests."""

    first: FailedTask
    positions: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A result from where the run folder cannot be seen, with the files that belong there."""

    result: Done | FailedTask
    files: Mapping[str, bytes]


class GenerationWork(SweepWork):
    """Makes the clips of a task and keeps each in the run folder as soon as it is there.

    Args:
        on_clip: called for every clip made in this process.
        sweep: as of :class:`SweepWork`.
    """

    here = ("on_clip", "_method")

    def __init__(self, *, on_clip: Callable[[Task], None] | None = None, **sweep: Any) -> None:
        super().__init__(**sweep)
        self.on_clip = on_clip
        self._method: tuple[str, Any] | None = None
        self._most: int | None = None  # clips that fit in memory at once

    @cached_property
    def _shown(self) -> set[int]:
        """Indices of the clips that the report shows."""
        return {request.index for request in self.requests[:SHOWN]}

    def __call__(self, task: Task) -> "Done | FailedTask | Sent":
        """Makes what nobody else makes. What the method does wrong is a FailedTask, a full disk is an OSError.

        Where the run folder cannot be seen, the clips come with the answer.
        """
        return self._answer(task, claimed=False)

    def again(self, task: Task) -> "Done | FailedTask | Sent":
        """The same of a task that another worker is slow with: its claims do not count, and the first to end does."""
        return self._answer(task, claimed=True)

    def _answer(self, task: Task, *, claimed: bool) -> "Done | FailedTask | Sent":
        if not self.apart:
            return self._done(task, claimed=claimed)
        with TemporaryDirectory(prefix="artv-") as folder:
            self.store = RunStore(Path(folder))
            return Sent(result=self._done(task, claimed=claimed), files=self.store.packed())

    def _done(self, task: Task, *, claimed: bool) -> Done | FailedTask:
        """``claimed``: clips that another process has claimed are made too."""
        place = {self.requests[position].index: position for position in task.indices}
        with self.store.claimed(task.cell, place) as ours:
            ours = list(place) if claimed else ours
            left = self.store.missing(task.cell, ours)  # others may have ended since this was planned
            self._count(task, len(ours) - len(left))
            if left:
                self.store.note_making(task.cell, left, making(self.runtime.get("device", "cpu")))
            error = self._make(task, [self.requests[place[index]] for index in left])
        if error is not None:
            return FailedTask.of(error)
        return Done(clips=len(ours), elsewhere=tuple(place[index] for index in place if index not in ours))

    def wait_for(self, task: Task) -> None:
        """Until no other process is making a clip of ``task``. Raises WorkFailed if one does so for too long."""
        indices, until = [self.requests[position].index for position in task.indices], time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with self.store.claimed(task.cell, indices) as ours:
                if len(ours) == len(indices):
                    return
            time.sleep(0.5)
        raise WorkFailed(
            f"another process has held clips of cell {task.cell} for {PATIENCE:.0f} s; what was made is kept: stop it "
            "and run the same command again"
        )

    def _make(self, task: Task, requests: list[ClipRequest]) -> Exception | None:
        """Makes clips in one batch, or in smaller ones from the first that memory is too small for."""
        while requests:
            part = requests[: self._most]
            made, error = self._make_batch(task, part)
            requests = requests[made:]
            if error is None:
                continue
            if not is_out_of_memory(error) or len(part) == 1:
                return error
            self._most = len(part) // 2
            del error
            free_memory()
            print(f"out of memory with {len(part)} clips at once; {self._most} from now on", file=sys.stderr)
        return None

    def _make_batch(self, task: Task, requests: Sequence[ClipRequest]) -> tuple[int, Exception | None]:
        """How many were made, and what stopped it."""
        started = time.perf_counter()
        clips: Any = None
        try:
            method = self._instance(task)
            long = in_parts(requests[0].num_frames)
            frames = optional(method, MethodExtras, "stream")(requests) if long else None
            if frames is None:
                clips = method.generate(requests)
        except Exception as error:
            return 0, error
        if frames is not None:
            return self._stream(task, requests, frames)
        if not isinstance(clips, list):
            return self._keep(task, requests, iter(clips))
        with interrupts_held():  # all of them are made: what stops the sweep waits until they are stored
            return self._keep_all(task, requests, clips, (time.perf_counter() - started) / len(requests))

    def _stream(
        self, task: Task, requests: Sequence[ClipRequest], frames: Iterator[NextFrames]
    ) -> tuple[int, Exception | None]:
        made, error = store_streams(self.store, task.cell, requests, frames, timed=_timed(self._instance(task)))
        self._count(task, made)
        return made, error

    def _keep(
        self, task: Task, requests: Sequence[ClipRequest], clips: Iterator[GeneratedClip | FailedClip]
    ) -> tuple[int, Exception | None]:
        """Stores clips one by one, as they are made."""
        timed = _timed(self._instance(task))
        for made, request in enumerate(requests):
            started = time.perf_counter()
            try:
                clip = _next(clips, request, f"{made} clips for {len(requests)} requests")
            except Exception as error:
                return made, error
            took = time.perf_counter() - started
            with interrupts_held():
                self._store(task, request, clip, took if timed else None)
            self._count(task, 1)
        return len(requests), None

    def _keep_all(
        self, task: Task, requests: Sequence[ClipRequest], clips: list[GeneratedClip | FailedClip], share: float
    ) -> tuple[int, Exception | None]:
        """Stores clips that were made together in ``share`` seconds each, several at a time.

        Packing one and waiting for the disk takes a fifth of what a GPU makes one in, and both leave the others room.
        """
        seconds = share if _timed(self._instance(task)) else None
        good, error = _good(clips, requests)
        with ThreadPoolExecutor(min(STORED_AT_ONCE, cores())) as pool:
            for _ in pool.map(lambda request, clip: self._store(task, request, clip, seconds), requests, good):
                self._count(task, 1)
        return len(good), error

    def _store(self, task: Task, request: ClipRequest, clip: GeneratedClip | FailedClip, seconds: float | None) -> None:
        if isinstance(clip, FailedClip):
            self.store.save_failure(task.cell, request.index, clip.reason)
            return
        if clip.seconds is None:
            clip = replace(clip, seconds=seconds)
        if request.index not in self._shown:
            clip = replace(clip, mask_steps=None)
        self.store.save_clip(task.cell, request.index, clip)

    def _count(self, task: Task, number: int) -> None:
        if self.on_clip:
            for _ in range(number):
                self.on_clip(task)

    def _instance(self, task: Task) -> Any:
        """The method, made once a cell; the one before it is dropped first, for two models may not fit."""
        if self._method is None or self._method[0] != task.cell:
            self._method = None
            method = build(self.manager, recipe_from(self.manager, "methods", task.method), self.runtime)
            optional(method, MethodExtras, "prepare")(self.requests)
            _timed(method)  # what it raises is raised here, where it is caught
            self._method = task.cell, method
        return self._method[1]


@contextmanager
def interrupts_held() -> Iterator[None]:
    """A first Ctrl-C waits until the block is done; a second one does not. Only in the thread that gets them."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    held: list[tuple[int, FrameType | None]] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if held:
            handler(number, frame)
        held.append((number, frame))

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if held:
        handler(*held[0])


def _timed(method: Any) -> bool:
    return bool(optional(method, MethodExtras, "timed"))


def _good(
    clips: list[GeneratedClip | FailedClip], requests: Sequence[ClipRequest]
) -> tuple[list[GeneratedClip | FailedClip], Exception | None]:
    """The clips up to the first that is not what was asked for, and what is wrong with that."""
    good, left = list[GeneratedClip | FailedClip](), iter(clips)
    for request in requests:
        try:
            good.append(_next(left, request, f"{len(clips)} clips for {len(requests)} requests"))
        except Exception as error:
            return good, error
    return good, None


def _next(
    clips: Iterator[GeneratedClip | FailedClip], request: ClipRequest, otherwise: str
) -> GeneratedClip | FailedClip:
    """The next clip, checked. ``otherwise``: what the method gave if there is none."""
    try:
        clip = next(clips)
    except StopIteration:
        raise UserError(f"the method gave {otherwise}") from None
    if not isinstance(clip, FailedClip):
        check_clip(clip, request)
    return clip


def check_clip(clip: Any, request: ClipRequest) -> None:
    """Raises ValueError, in words for the method's author, unless ``clip`` is what ``request`` asked for."""
    if not isinstance(clip, GeneratedClip):
        raise ValueError(f"the method gave a {type(clip).__name__} where a GeneratedClip is due")
    wanted = (request.num_frames, request.height, request.width, 3)
    frames, mask = clip.frames, clip.mask
    dtype, shape = getattr(frames, "dtype", None), getattr(frames, "shape", None)
    if dtype != np.uint8 or shape != wanted:
        what = type(frames).__name__ if dtype is None or shape is None else f"{dtype} {shape}"
        raise ValueError(f"clip {request.index} has frames {what}; the protocol asks for uint8 {wanted}")
    if mask is not None and (mask.ndim != 3 or len(mask) != request.num_frames - 1 or not np.isfinite(mask).all()):
        raise ValueError(f"clip {request.index} has a mask {mask.shape}; it must be finite (T−1, h, w)")
    steps = clip.mask_steps
    if steps is not None and (steps.dtype != np.uint8 or steps.ndim != 4 or steps.shape[1] != request.num_frames - 1):
        raise ValueError(f"clip {request.index} has mask_steps {steps.shape}; they must be uint8 (s, T−1, h, w)")


def pending(
    store: RunStore, cells: Sequence[Cell], indices: Sequence[int], shard: Shard, batch_size: int
) -> list[Task]:
    """The tasks that are left: per cell the clips of this shard that are not there, in batches.

    A clip that could not be made, alone or with its batch, is not tried again: ``forget_faults`` of the store is how it
    is.

    ``indices``: of all requests, in order.
    """
    tasks = []
    position = {index: i for i, index in enumerate(indices)}
    for cell in {cell.id: cell for cell in cells if cell.method is not None and cell.status == READY}.values():
        assert cell.method is not None
        absent = store.missing(cell.id, shard.part(indices))
        failed = {*store.failures(cell.id, absent), *store.struck(cell.id, absent)}
        left = [position[index] for index in absent if index not in failed]
        for start in range(0, len(left), batch_size):
            batch = tuple(left[start : start + batch_size])
            tasks.append(Task(cell=cell.id, method=cell.method.named(), indices=batch))
    return tasks


def generate(
    executor: Executor, work: GenerationWork, tasks: Sequence[Task], on_task: Callable[[Task, int], None] | None = None
) -> dict[str, Fault]:
    """Runs the tasks; clips that other sweeps are making are waited for, and made here if they were not made there.

    Returns cell id → fault for the cells of which a task failed.
    """
    failures: dict[str, Fault] = {}
    while tasks:
        elsewhere = []
        for task, result in executor.run(work, tasks):
            if isinstance(result, Sent):
                work.store.unpack(result.files)
                result = result.result
            if isinstance(result, FailedTask):
                before = failures.get(task.cell, Fault(first=result, positions=()))
                failures[task.cell] = replace(before, positions=(*before.positions, *task.indices))
                continue
            if on_task:
                on_task(task, result.clips)
            if result.elsewhere:
                elsewhere.append(replace(task, indices=result.elsewhere))
        for task in elsewhere:
            work.wait_for(task)
        tasks = elsewhere
    return failures


def with_status(cells: Sequence[Cell], failures: Mapping[str, str]) -> list[Cell]:
    """The cells, those that failed marked so."""
    return [
        replace(cell, status=f"failed: {failures[cell.id]}") if cell.method and cell.id in failures else cell
        for cell in cells
    ]


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, of this machine or of its accelerator, whatever library says so."""
    said = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(words in said for words in NO_MEMORY)
    )


def free_memory() -> None:
    """Gives back what failed work has left."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
