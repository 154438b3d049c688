"""One task after the other: in order, each when it is asked for."""

import pytest

from artv_eval import testing
from artv_eval.api import Task
from artv_eval.executors.serial import SerialExecutor

TASKS = [Task(cell=name, method={}, indices=()) for name in "abc"]


def test_it_holds_the_contract():
    testing.check_executor(SerialExecutor)


def test_a_task_is_done_when_its_result_is_asked_for():
    done = []
    results = SerialExecutor().run(lambda task: done.append(task.cell) or task.cell.upper(), TASKS)
    assert next(results) == (TASKS[0], "A") and done == ["a"]
    assert [result for _, result in results] == ["B", "C"] and done == ["a", "b", "c"]


def test_what_the_work_raises_ends_it():
    def work(task):
        if task.cell == "b":
            raise OSError("No space left on device")

    results = SerialExecutor().run(work, TASKS)
    next(results)
    with pytest.raises(OSError, match="No space"):
        next(results)
