"""Processes of this machine: they stay, and a new one takes the place of one that is killed."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from artv.devices import cores
from artv.errors import UserError, WorkFailed
from artv_eval import testing
from artv_eval.api import FailedTask, Task
from artv_eval.executors import gpus
from artv_eval.executors.gpus import GpuExecutor, _next, visible


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


def test_what_kills_process_after_process_is_a_failed_task_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(gpus, "LOSSES", 2)
    found = {task.cell: result for task, result in GpuExecutor(processes=1).run(Die(), tasks("d", "e"))}
    assert found["d"] == FailedTask(error="2 worker processes were killed with it") and found["e"][1] == "e"
    monkeypatch.setattr(gpus, "LOSSES", 1)
    with pytest.raises(WorkFailed, match="worker processes are killed as they begin; what was finished is kept"):
        list(GpuExecutor(processes=1).run(Deadly(), tasks("a")))


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
