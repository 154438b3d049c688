"""Whether the workers see the run folder: asked of all of them, and said, before any work."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from artv.errors import UserError
from artv_eval.executors.serial import SerialExecutor
from artv_eval.results.store import RunStore
from artv_eval.sweep.where import scored_here, sees_folder


class Elsewhere:
    """Machines of which those with these numbers see another folder, or none, under the path."""

    elsewhere = True

    def __init__(self, *blind):
        self.blind = blind

    def run(self, work, tasks):
        for task in tasks:
            hidden = task.cell in self.blind
            if hidden:
                (work.run / "run.id").rename(work.run / "hidden")
            yield task, work(task)
            if hidden:
                (work.run / "hidden").rename(work.run / "run.id")


@dataclass(frozen=True)
class Asked:
    """What is looked at of a prepared sweep."""

    executor: Any
    options: Any = field(default_factory=lambda: SimpleNamespace(train=None))


@pytest.fixture
def store(tmp_path):
    made = RunStore(tmp_path / "run")
    made.identify()
    return made


def test_processes_of_this_machine_are_not_asked(store, capsys):
    assert sees_folder(Asked(SerialExecutor()), store) and capsys.readouterr().err == ""


def test_where_all_see_it_clips_go_straight_into_it(store, capsys):
    assert sees_folder(Asked(Elsewhere()), store)
    assert capsys.readouterr().err == f"the workers see {store.root}: clips go straight into it\n"


def test_one_that_does_not_is_enough_for_clips_to_come_back(store, capsys):
    asked = Asked(Elsewhere("7"))
    assert sees_folder(asked, store) is False
    assert "clips come back with their answers, and are scored on this machine" in capsys.readouterr().err
    assert isinstance(scored_here(asked).executor, SerialExecutor) and isinstance(asked.executor, Elsewhere)


def test_trainings_need_a_folder_that_all_see(store):
    with pytest.raises(UserError, match=r"not all workers see .*run.* --out, --store and --twins on a file"):
        sees_folder(Asked(Elsewhere("0"), SimpleNamespace(train=object())), store)
