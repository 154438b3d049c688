"""Training as a task: whoever does it leaves a whole twin or a reason, and all the time that it took is counted."""

import json
import pickle
from pathlib import Path

import pytest

from artv_eval.api import FailedTask, Task
from artv_eval.plugins.manager import PluginManager, PluginOptions
from artv_eval.twins.store import TwinStore
from artv_eval.twins.work import TrainingWork, device_name

TOY = Path(__file__).parents[1] / "toy"


@pytest.fixture
def work(tmp_path):
    manager = PluginManager(PluginOptions(folders=(str(TOY),)))
    return TrainingWork(manager=manager, store=tmp_path / "twins", runtime={"device": "cpu"})


def task(seed=1, steps=3, **trainer):
    settings = {"mean": 10.0, "data": "clean", "seed": seed, "steps": steps, "code": 1}
    return Task(cell=f"id{seed}", method={"name": "toy-train", "training": settings, **trainer}, indices=())


def finished(work, key="id1"):
    return TwinStore(work.store).finished(key)


def test_a_twin_is_left_whole_and_not_trained_again(work, made):
    assert work(task()) is None and len(made()) == 3
    assert (work.store / "id1" / "pipeline" / "strength").is_file() and finished(work)["device"] == "cpu"
    assert work(task()) is None and len(made()) == 3


def test_settings_of_the_trainer_go_to_it(work):
    for spread in (0.0, 5.0):
        work(task(seed=2 + int(spread), spread=spread))
    strengths = [float((work.store / f"id{seed}" / "pipeline" / "strength").read_text()) for seed in (2, 7)]
    assert strengths[0] == pytest.approx(10 * (1 + 1 / 3)) != strengths[1]  # the toy's strength without any spread


def test_an_interrupted_training_counts_both_its_parts(work, made, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "0.1")
    monkeypatch.setenv("TOY_TRAINING_STOPS_AT", "10 1 1")
    with pytest.raises(KeyboardInterrupt):
        work(task())
    assert finished(work) is None
    monkeypatch.delenv("TOY_TRAINING_STOPS_AT")
    monkeypatch.setenv("TOY_SECONDS", "0")
    assert work(task()) is None
    assert finished(work)["seconds"] >= 0.2 and len(made()) == 4  # two steps of 0.1 s, of which one was lost
    assert not (work.store / "id1" / "spent.json").exists()


def test_time_adds_up_whatever_stands_in_the_note(tmp_path):
    store = TwinStore(tmp_path)
    assert [store.spend("a", 1.5), store.spend("a", 2.0)] == [1.5, 3.5] and store.spend("b", 1.0) == 1.0
    for damaged in ("", "[]", '{"seconds": null}', '{"seconds": "x"}', "{}"):
        (tmp_path / "a" / "spent.json").write_text(damaged, encoding="utf-8")
        assert store.spend("a", 0.5) == 0.5


def test_a_training_that_fails_is_a_line_and_the_next_one_goes_on(work, monkeypatch):
    monkeypatch.setenv("TOY_TRAINING_FAILS", "10 1")
    failed = work(task())
    assert isinstance(failed, FailedTask) and failed.error == "ValueError: the loss became nan"
    assert "the loss became" in failed.trace and finished(work) is None
    assert work(task(seed=2)) is None and finished(work, "id2") is not None


def test_a_trainer_that_leaves_nothing_has_failed(work, monkeypatch):
    monkeypatch.setattr(
        type(work.manager.target(work.manager.find("trainers", "toy-train"))()), "train", lambda *a: None
    )
    assert work(task()).error == "the trainer left no pipeline" and finished(work) is None


def test_a_full_disk_stops_the_sweep(work, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(work.manager.target(work.manager.find("trainers", "toy-train"))()), "train", full)
    with pytest.raises(OSError, match="No space left"):
        work(task())


def test_it_can_be_sent_to_another_process(work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work.store = Path("twins")  # which means another place there
    sent = pickle.loads(pickle.dumps(work))
    assert sent.store == tmp_path / "twins" and sent.runtime == work.runtime
    assert sent(task()) is None and json.loads((tmp_path / "twins/id1/finished.json").read_text())["digest"]


def test_a_cpu_is_called_so():
    assert device_name("cpu") == "cpu"
