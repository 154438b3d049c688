"""Processes of this machine: they stay, one that is killed is told of, and a new one takes its place."""

import os
import signal

import pytest

from artv.errors import WorkFailed
from artv_eval import testing
from artv_eval.api import Task
from artv_eval.executors.gpus import GpuExecutor


def who(task):
    return os.getpid(), task.cell


def die(task):
    os.kill(os.getpid(), signal.SIGKILL)


def tasks(*cells):
    return [Task(cell=cell, method={}, indices=()) for cell in cells]


def test_it_holds_the_contract():
    testing.check_executor(GpuExecutor)


def test_processes_stay_for_the_next_work_and_are_replaced_when_one_is_killed():
    executor = GpuExecutor(processes=1)
    (one,) = {pid for _, (pid, _) in executor.run(who, tasks("a", "b"))}
    (other,) = {pid for _, (pid, _) in executor.run(who, tasks("c"))}
    assert one == other != os.getpid()
    with pytest.raises(WorkFailed, match="run the same command again"):
        list(executor.run(die, tasks("d")))
    ((task, (pid, cell)),) = executor.run(who, tasks("e"))
    assert pid not in (one, os.getpid()) and task.cell == cell == "e"


def threads(task):
    import torch

    return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]


def test_processes_share_the_cores():
    executor = GpuExecutor(processes=2)
    alone = max(1, (os.cpu_count() or 1) // 2)
    assert {found for _, found in executor.run(threads, tasks("a", "b"))} == {(alone, str(alone))}
