"""What a task needs of its sweep, here and where it was sent to."""

import os
import pickle
from dataclasses import make_dataclass
from pathlib import Path

import pytest

from artv.errors import UserError, WorkFailed
from artv_eval.api import Task
from artv_eval.executors.serial import SerialExecutor
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import recipe
from artv_eval.results.store import RunStore
from artv_eval.sweep import work as module
from artv_eval.sweep.where import scored_here, sees_folder
from artv_eval.sweep.work import SeesFolder, SweepWork, run_id


@pytest.fixture
def store(tmp_path):
    made = RunStore(tmp_path / "run")
    made.identify()
    return made


@pytest.fixture
def work(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manager = PluginManager()
    protocol = recipe(manager, "protocols", "shapes@1").named()
    return SweepWork(
        manager=manager, protocol=protocol, num=3, frames=4, seed=2, run=store.root, runtime={"device": "cpu"}
    )


def test_it_asks_the_protocol_for_what_the_sweep_did(work):
    assert len(work.requests) == 3 and {request.num_frames for request in work.requests} == {4}
    assert [request.seed for request in work.requests] == [2 * 1_000_003 + i for i in range(3)]
    assert work.store.root == work.run and not work.apart


def test_another_process_does_the_same(work, tmp_path):
    work.requests, work.store  # noqa: B018 made here, and not sent
    sent = pickle.loads(pickle.dumps(work))
    assert [r.prompt for r in sent.requests] == [r.prompt for r in work.requests] and not sent.apart
    assert sent.run == work.run.absolute() and sent.runtime == {"device": "cpu", "progress": False}
    assert "store" not in vars(sent) and sent.store.root == work.run.absolute()


def test_it_works_in_the_folder_where_the_sweep_began(work, tmp_path):
    data = pickle.dumps(work)
    (tmp_path / "else").mkdir()
    os.chdir(tmp_path / "else")
    pickle.loads(data)
    assert Path.cwd() == tmp_path


def test_other_code_is_refused(work, monkeypatch):
    data = pickle.dumps(work)
    monkeypatch.setattr(module, "code_digest", lambda folders: "fedcba9876543210")
    with pytest.raises(
        UserError, match=r"has artv .* \(fedcba9876543210\), and the sweep was begun by artv .*: install"
    ):
        pickle.loads(data)


def test_a_folder_of_the_same_path_elsewhere_is_another(work, store):
    data = pickle.dumps(work)
    (store.root / "run.id").unlink()
    assert pickle.loads(data).apart  # none there
    store.identify()  # of another run
    assert pickle.loads(data).apart


def test_without_the_folder_it_says_what_all_machines_must_share(work, store):
    sent = pickle.loads(pickle.dumps(work))
    sent.run = store.root / "nowhere"
    with pytest.raises(WorkFailed, match=r"is not there on .*: all machines must share it; give --out"):
        sent.store  # noqa: B018
    assert run_id(sent.run) is None


class Elsewhere(SerialExecutor):
    """Machines of which the last one looks at another folder of that path, if it is asked to."""

    elsewhere = True

    def __init__(self, last=True):
        self.last, self.asked = last, 0

    def run(self, work, tasks):
        for i, task in enumerate(tasks):
            self.asked += 1
            yield task, work(task) if i + 1 < len(tasks) or self.last else False


def prepared(executor, train=None):
    options = type("Options", (), {"train": train})()
    return type("Prepared", (), {"executor": executor, "options": options})()


@pytest.mark.parametrize(
    ("executor", "asked", "wanted", "said"),
    [
        (SerialExecutor(), None, True, ""),
        (Elsewhere(), 8, True, "the workers see {run}: clips go straight into it"),
        (Elsewhere(last=False), 8, False, "not all workers see {run}: clips come back with their answers"),
    ],
)
def test_whoever_works_elsewhere_is_asked_before_any_work(store, capsys, executor, asked, wanted, said):
    assert sees_folder(prepared(executor), store) is wanted
    assert getattr(executor, "asked", None) == asked and said.format(run=store.root) in capsys.readouterr().err


def test_trained_models_must_lie_where_all_see_them(store):
    assert sees_folder(prepared(Elsewhere(), train=object()), store)
    with pytest.raises(UserError, match="trained models must lie where all do; give --out, --store and"):
        sees_folder(prepared(Elsewhere(last=False), train=object()), store)


def test_seeing_a_folder_is_seeing_its_id(store, tmp_path):
    task = Task(cell="0", method={}, indices=())
    asked = pickle.loads(pickle.dumps(SeesFolder(store.root)))
    assert asked(task)
    (store.root / "run.id").write_text("another", encoding="utf-8")
    assert not asked(task)


def test_what_reads_clips_is_done_here():
    made = make_dataclass("Prepared", ["executor", "options"], frozen=True)(Elsewhere(), None)
    assert type(scored_here(made).executor) is SerialExecutor
