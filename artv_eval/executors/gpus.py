"""Tasks on all GPUs of this machine, or on several processes of it: one process a GPU, each with a task at a time."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from artv.devices import cores
from artv.errors import UserError, WorkFailed
from artv.ranges import Count
from artv_eval.api import Task

VISIBLE = "CUDA_VISIBLE_DEVICES"


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

    def run(self, work: Callable[[Task], Any], tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Yields tasks with their results as they finish; a process keeps to a cell while that has tasks left.

        The processes stay for the next work, unless this one was stopped.
        """
        if not tasks:
            return
        try:
            yield from self._run(work, list(tasks))
        except BaseException as error:
            if not isinstance(error, Exception):
                _interrupt_workers()
            for pool in self._pools:
                pool.shutdown(cancel_futures=True)
            self._pools.clear()
            raise

    def _run(self, work: Callable[[Task], Any], left: list[Task]) -> Iterator[tuple[Task, Any]]:
        pools = self._started(len(left))
        # what to do goes first: its answer is that a process can begin
        running: dict[Future, tuple[int, Task | None]] = {
            pool.submit(_take, work): (i, None) for i, pool in enumerate(pools)
        }
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                number, task = running.pop(future)
                result = _result(future)
                if left:
                    following = left.pop(_next(left, task.cell if task else None, number))
                    running[pools[number].submit(_call, following)] = number, following
                if task is not None:
                    yield task, result

    def _started(self, tasks: int) -> list[ProcessPoolExecutor]:
        gpus = visible()
        count = min(self.processes or max(len(gpus), 1), tasks)
        threads = _threads(count)
        while len(self._pools) < count:
            self._pools.append(_pool(gpus[len(self._pools) % len(gpus)] if gpus else None, threads))
        return self._pools[:count]


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
    same = (i for i, task in enumerate(left) if task.cell == cell)
    cells = list(dict.fromkeys(task.cell for task in left))
    other = next(i for i, task in enumerate(left) if task.cell == cells[start % len(cells)])
    return next(same, other)


def _interrupt_workers() -> None:
    """Ctrl-C may have reached this process alone, and a training of theirs may take hours yet."""
    for child in multiprocessing.active_children():
        child.terminate()


# of a worker process
_work: Any = None
_busy = False


def _pool(gpu: str | None, threads: int) -> ProcessPoolExecutor:
    # a process that has begun to use CUDA cannot be forked
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (gpu, threads, os.getpid()))


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


def _result(future: Future) -> Any:
    try:
        return future.result()
    except OSError:  # a full disk is full for every task
        raise
    except BrokenProcessPool:
        raise WorkFailed("a worker process was killed; what was finished is kept: run the same command again") from None
