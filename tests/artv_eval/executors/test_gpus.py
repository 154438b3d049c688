"""Processes of this machine: they stay, and a new one takes the place of one that is killed."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from random import Random

import pytest

from artv.devices import cores
from artv.errors import UserError, WorkFailed
from artv_eval import testing
from artv_eval.api import FailedTask, Task
from artv_eval.executors import gpus
from artv_eval.executors.gpus import GpuExecutor, _Asked, _call, _next, _ready, visible


def who(task):
    return os.getpid(), task.cell


class Die:
    """The task ``d`` kills its process: always, or the first time, which a file in ``folder`` tells."""

    def __init__(self, folder=None):
        self.folder = folder

    def __call__(self, task):
        if task.cell == "d" and not (self.folder and (self.folder / "died").exists()):
            if self.folder:
                (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return who(task)


class Deadly:
    """No process that is given it lives on."""

    def __call__(self, task):
        raise AssertionError

    def __reduce__(self):
        return os._exit, (9,)


def tasks(*cells):
    return [Task(cell=cell, method={}, indices=()) for cell in cells]


def test_it_holds_the_contract():
    testing.check_executor(GpuExecutor)


def test_processes_stay_for_the_next_work_and_are_replaced_when_one_is_killed(tmp_path):
    executor = GpuExecutor(processes=1)
    (one,) = {pid for _, (pid, _) in executor.run(who, tasks("a", "b"))}
    (other,) = {pid for _, (pid, _) in executor.run(who, tasks("c"))}
    assert one == other != os.getpid()
    found = {task.cell: (pid, cell) for task, (pid, cell) in executor.run(Die(tmp_path), tasks("d", "e"))}
    assert {cell for _, cell in found.values()} == found.keys() == {"d", "e"} and found["d"][0] != one
    os.kill(found["e"][0], signal.SIGKILL)  # while it has nothing to do
    time.sleep(0.3)
    ((task, (pid, cell)),) = executor.run(who, tasks("f"))
    assert pid != found["e"][0] and task.cell == cell == "f"


class Killed:
    """Processes that are given a task are killed so many ``times``, by an operator or by the task itself.

    Where they are not given, of ten trials four, which ``seed`` draws.
    """

    def __init__(self, folder, seed=0, **times):
        self.folder, self.seed, self.times = folder, seed, times

    def __call__(self, task):
        before = len(list(self.folder.glob(f"{task.cell}-*")))
        drawn = Random(f"{self.seed} {task.cell} {before}").random() < 0.4
        if before < self.times.get(task.cell, 0) if self.times else drawn:
            (self.folder / f"{task.cell}-{before}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return task.cell


@pytest.fixture
def quick(monkeypatch):
    """Real processes that begin in milliseconds, for they import nothing."""
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(GpuExecutor, "_pool", lambda self, number: ProcessPoolExecutor(1, fork))


@pytest.mark.parametrize(
    ("names", "times", "failed"),
    [
        ("abcdef", {"a": 2}, {}),
        ("abcdefghijklmnopqrstuvwxyz", {"a": 99}, {"a": 3}),  # the others end
        ("a", {"a": 99}, {"a": 10}),  # there is none to compare it with
        ("abcd", dict.fromkeys("abcd", 99), {"a": 4, "b": 3, "c": 3, "d": 3}),  # b meets the tenth in a row
    ],
)
def test_what_kills_process_after_process_is_a_failed_task_and_the_others_go_on(quick, tmp_path, names, times, failed):
    work = Killed(tmp_path, **times)
    found = {task.cell: result for task, result in GpuExecutor(processes=1).run(work, tasks(*names))}
    told = {cell: FailedTask(error=f"{n} worker processes were killed with it") for cell, n in failed.items()}
    assert found == {cell: cell for cell in names} | told


def test_whoever_kills_processes_makes_no_task_fail_however_many_it_meets(quick, tmp_path):
    names = "abcdefghijklmnopqrstuvwxyz"
    assert {cell for _, cell in GpuExecutor(processes=2).run(Killed(tmp_path, seed=1), tasks(*names))} == set(names)
    met = [len(list(tmp_path.glob(f"{cell}-*"))) for cell in names]
    assert sum(met) > 10 and max(met) > 3


def test_processes_that_are_killed_as_they_begin_end_the_run(quick):
    with pytest.raises(WorkFailed, match="worker processes are killed as they begin; what was finished is kept"):
        list(GpuExecutor(processes=2).run(Deadly(), tasks("a", "b")))


def test_a_process_that_is_killed_while_it_has_nothing_to_do_had_not_begun_its_next_task(quick):
    pool = GpuExecutor()._pool(0)
    pid = pool.submit(os.getpid).result()
    os.kill(pid, signal.SIGSTOP)
    before, (task,) = pool.submit(_ready), tasks("a")
    answer = pool.submit(_call, task)
    os.kill(pid, signal.SIGKILL)
    assert isinstance(answer.exception(30), BrokenProcessPool) and not _Asked(0, task, before).begun


class Touch:
    """Leaves a file a task."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, task):
        (self.folder / task.cell).touch()


def test_no_process_waits_for_whoever_takes_the_results(tmp_path):
    found = GpuExecutor(processes=1).run(Touch(tmp_path), tasks(*"abcd"))
    next(found)
    until = time.monotonic() + 10
    while len(list(tmp_path.iterdir())) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(list(tmp_path.iterdir())) == 4 and len(list(found)) == 3


def threads(task):
    import torch

    return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]


@pytest.mark.parametrize(
    ("asked", "there", "processes", "each"),
    [
        (None, 64, 12, 5),
        (None, 2, 4, 1),
        ("1", 64, 1, 1),  # as job scripts ask for, and as whoever shares a machine does
        ("8,2", 64, 2, 8),
        ("64", 8, 2, 4),  # more than there are
        ("0", 8, 2, 4),
        ("many", 8, 2, 4),
    ],
)
def test_threads_are_a_share_of_the_cores_and_no_more_than_was_asked_for(monkeypatch, asked, there, processes, each):
    monkeypatch.setattr(gpus, "cores", lambda: there)
    monkeypatch.delenv("OMP_NUM_THREADS") if asked is None else monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert gpus._threads(processes) == each


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    executor = GpuExecutor(processes=2)
    alone = max(1, cores() // 2)
    assert {found for _, found in executor.run(threads, tasks("a", "b"))} == {(alone, str(alone))}


@pytest.mark.parametrize(
    ("left", "cell", "start", "taken"),
    [
        ("aabb", "b", 0, 2),  # the model that is loaded
        ("aabb", "c", 0, 0),  # its cell has no tasks left
        ("aabbcc", None, 0, 0),  # at the start every process another cell
        ("aabbcc", None, 1, 2),
        ("aabbcc", None, 2, 4),
        ("aabbcc", None, 3, 0),  # more processes than cells: again from the first
        ("ba", None, 1, 1),
    ],
)
def test_a_process_keeps_to_its_cell_and_begins_with_another_than_its_neighbours(left, cell, start, taken):
    assert _next(tasks(*left), cell, start) == taken


@pytest.mark.parametrize(("given", "names"), [("0", ["0"]), ("2, 3", ["2", "3"]), ("GPU-8f,1", ["GPU-8f", "1"])])
def test_the_gpus_are_those_that_the_variable_names(monkeypatch, given, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible() == names


def test_no_tasks_start_no_process_and_no_processes_are_a_mistake():
    assert list(GpuExecutor().run(lambda task: pytest.fail("called"), [])) == []
    with pytest.raises(UserError, match=r"gpus\.processes is 0; it must be at least 1"):
        GpuExecutor(processes=0)


def nap(task):
    begun = Path(task.method["begun"])
    try:
        begun.touch()
        time.sleep(100)
    except KeyboardInterrupt:
        begun.with_name("stopped").touch()
        raise


def interrupt_when(there):
    while not there.exists():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_to_the_main_process_alone_stops_what_the_others_do(tmp_path):
    begun = tmp_path / "begun"
    threading.Thread(target=interrupt_when, args=(begun,), daemon=True).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(GpuExecutor(processes=1).run(nap, [Task(cell="a", method={"begun": str(begun)}, indices=())]))
    assert time.monotonic() - started < 60 and (tmp_path / "stopped").exists()
