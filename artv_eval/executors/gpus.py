"""Tasks on all GPUs of this machine, or on several processes of it: one process a GPU, each with a task at a time.

A process that is killed, by a crash or for its memory, costs the task it had begun, which another gets.
"""

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from artv.devices import cores
from artv.errors import UserError, WorkFailed
from artv.ranges import Count
from artv_eval.api import FailedTask, Task
from artv_eval.executors.ahead import ahead
from artv_eval.executors.losses import MOST, Losses

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class _Asked:
    """What an answer is awaited of: the process, its task, and the answer that it gives ahead of that."""

    number: int
    task: Task | None = None
    before: Future | None = None

    @property
    def begun(self) -> bool:
        """Whether the process had begun the task: one that was killed while it had nothing to do had not."""
        return self.before is not None and self.before.done() and self.before.exception() is None


class GpuExecutor:
    """Runs every task in a process that sees one GPU, as ``cuda:0``.

    Args:
        processes: how many; None for one a GPU. Processes share the GPUs in turn; without a GPU they are plain
            processes.
    """

    def __init__(self, *, processes: Count | None = None) -> None:
        if processes is not None and processes < 1:
            raise UserError(f"gpus.processes is {processes}; it must be at least 1")
        self.processes = processes
        self._pools: list[ProcessPoolExecutor] = []
        self._threads = 1
        self._giving, self._left = threading.Lock(), list[Task]()

    def run(self, work: Callable[[Task], Any], tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Yields tasks with their results as they finish; a process keeps to a cell while that has tasks left.

        The processes stay for the next work, unless this one was stopped.
        """
        if not tasks:
            return
        left = self._left = list(tasks)
        try:
            # what to do goes first: its answer is that a process can begin
            running = {self._begun(number, work): _Asked(number) for number in range(self._started(len(left)))}
            yield from ahead(self._run(work, left, running))  # no process waits for whoever takes the results
        except BaseException as error:
            with self._giving:  # and nobody is given another task
                self._left = []
                if not isinstance(error, Exception):
                    _interrupt_workers()
            for pool in self._pools:
                pool.shutdown(cancel_futures=True)
            self._pools.clear()
            raise

    def _run(
        self, work: Callable[[Task], Any], left: list[Task], running: dict[Future, _Asked]
    ) -> Iterator[tuple[Task, Any]]:
        losses, never_begun = Losses(), Counter[int]()  # by the number of the process
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                asked = running.pop(future)
                number, task = asked.number, asked.task
                if killed := isinstance(future.exception(), BrokenProcessPool):
                    never_begun[number] += task is None
                    if never_begun[number] == MOST:
                        if running:  # the others go on without it
                            continue
                        raise WorkFailed("worker processes are killed as they begin; what was finished is kept")
                    yield from _lost(asked, left, losses)
                else:
                    never_begun.pop(number, None)
                with self._giving:
                    following = self._following(asked, left, work, killed=killed)
                running |= following
                for given in following.values():
                    losses.began(id(given.task))
                if task is not None and not killed:
                    result = future.result()
                    losses.finished(id(task))
                    yield task, result

    def _following(
        self, asked: _Asked, left: list[Task], work: Callable[[Task], Any], *, killed: bool
    ) -> dict[Future, _Asked]:
        """What the process does next, or a new one where it was ``killed``; nothing at the end, or stopped."""
        number = asked.number
        if not left or left is not self._left:
            return {}
        if not killed:
            task = left.pop(_next(left, asked.task.cell if asked.task else None, number))
            try:
                before = self._pools[number].submit(_ready)
                return {self._pools[number].submit(_call, task): _Asked(number, task, before)}
            except BrokenProcessPool:  # killed between two tasks
                left.insert(0, task)
        return {self._begun(number, work): _Asked(number)}

    def _begun(self, number: int, work: Callable[[Task], Any]) -> Future:
        """The answer of a process that it has the work; of a new process, on the same GPU, where it was killed."""
        try:
            return self._pools[number].submit(_take, work)
        except BrokenProcessPool:
            self._pools[number] = self._pool(number)
            return self._pools[number].submit(_take, work)

    def _started(self, tasks: int) -> int:
        """How many processes there are for so many tasks."""
        count = min(self.processes or max(len(visible()), 1), tasks)
        self._threads = _threads(count)
        while len(self._pools) < count:
            self._pools.append(self._pool(len(self._pools)))
        return count

    def _pool(self, number: int) -> ProcessPoolExecutor:
        gpus = visible()
        gpu = gpus[number % len(gpus)] if gpus else None
        # a process that has begun to use CUDA cannot be forked
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (gpu, self._threads, os.getpid()))


def visible() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if os.environ.get(VISIBLE):
        return [name.strip() for name in os.environ[VISIBLE].split(",")]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]


def _threads(processes: int) -> int:
    """Threads of each process: its share of the cores, at most what ``OMP_NUM_THREADS`` asks for (a number a level)."""
    share = max(1, cores() // processes)
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(share, int(asked)) if asked.isdecimal() and int(asked) else share


def _next(left: Sequence[Task], cell: str | None, start: int = 0) -> int:
    """A task of the same cell, so that its model stays loaded; else of another one than the other processes have."""
    same = next((i for i, task in enumerate(left) if task.cell == cell), None)
    if same is not None:  # nearly always, and a sweep of a million clips has 50,000 tasks
        return same
    cells = list(dict.fromkeys(task.cell for task in left))
    return next(i for i, task in enumerate(left) if task.cell == cells[start % len(cells)])


def _lost(asked: _Asked, left: list[Task], losses: Losses) -> Iterator[tuple[Task, FailedTask]]:
    """Puts the task of a process that was killed last; gives it as failed where it is to blame."""
    task = asked.task
    if task is not None and asked.begun and losses.blamed(id(task)):
        yield task, FailedTask(error=f"{losses.of(id(task))} worker processes were killed with it")
    elif task is not None:
        left.append(task)


def _interrupt_workers() -> None:
    """Ctrl-C may have reached this process alone, and a training of theirs may take hours yet."""
    for child in multiprocessing.active_children():
        child.terminate()


# of a worker process
_work: Any = None
_busy = False


def _begin(gpu: str | None, threads: int, parent: int) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal sends it to all; the process that waits for us passes it on
    signal.signal(signal.SIGTERM, _interrupt)
    if gpu is not None:
        os.environ[VISIBLE] = gpu
    # as many threads as cores in each process: with 8 of them on 64 cores a clip took 20 times as long to describe
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    from artv_eval.executors.orphans import end_with

    end_with(parent)


def _take(work: Callable[[Task], Any]) -> None:
    global _work
    _work = work


def _ready() -> None:
    """Answered when what was asked before is done."""


def _call(task: Task) -> Any:
    global _busy
    _busy = True
    try:
        return _work(task)
    finally:
        _busy = False


def _interrupt(number: int, frame: object) -> None:
    if _busy:
        raise KeyboardInterrupt
