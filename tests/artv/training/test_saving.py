"""States written beside the training: in order, by the averaged model, a failure told and survived."""

import json
import threading
import time

import pytest
import torch

from artv.errors import WorkFailed
from artv.training import saving
from artv.training.checkpoint import load_state
from artv.training.ema import Ema
from artv.training.saving import Saver


@pytest.fixture
def training():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    return model, Ema(model), torch.optim.AdamW(model.parameters())


def step(model, ema, optimizer):
    model(torch.randn(4, 3)).square().mean().backward()
    optimizer.step()
    ema.update(0.5)


def test_a_state_is_what_it_was_when_it_was_saved(tmp_path, training):
    step(*training)
    expected = {name: value.clone() for name, value in training[0].state_dict().items()}
    with Saver(tmp_path / "state", *training, None) as saver:
        saver.reserve()
        saver.save(1)
        step(*training)  # goes on while it is written
        saver.finish()
        assert not saver.busy
    model = torch.nn.Linear(3, 2)
    ema = Ema(model)
    assert load_state(tmp_path / "state", model, ema, torch.optim.AdamW(model.parameters())) == 1
    assert all(torch.equal(model.state_dict()[name], value) for name, value in expected.items())


def test_the_averaged_model_of_each_state_is_handed_on_before_it_is_written(tmp_path, training):
    """So whatever a kill leaves, what a training goes on from has been handed on."""
    seen = []

    def on_save(model, number):
        stored = [json.loads(file.read_text())["step"] for file in (tmp_path / "state").glob("step.json")]
        assert stored == [number - 1][: number - 1] and threading.current_thread().name.startswith("checkpoint")
        seen.append((number, model.weight.clone()))

    with Saver(tmp_path / "state", *training, on_save) as saver:
        averages = []
        for number in (1, 2, 3):
            step(*training)
            averages.append(training[1].model.weight.clone())
            saver.save(number)
        saver.finish()
    assert [number for number, _ in seen] == [1, 2, 3]
    assert all(torch.equal(weight, average) for (_, weight), average in zip(seen, averages, strict=True))


def test_where_a_training_is_stopped_its_state_comes_first(tmp_path, training):
    """Whoever sent the signal may kill it after some seconds, and a pipeline can be made of the state."""
    seen = []

    def on_save(model, number):
        seen.append(json.loads((tmp_path / "state" / "step.json").read_text())["step"])

    step(*training)
    with Saver(tmp_path / "state", *training, on_save) as saver:
        saver.save(1, stopping=True)
        saver.finish()
    assert seen == [1]


def test_a_state_that_cannot_be_written_is_told_and_the_last_one_fails(tmp_path, training, monkeypatch, capsys):
    written, plain = [], saving.write_state

    def write(folder, state, random, number):
        if number != 2:
            raise WorkFailed("disk full: state")
        written.append(number)
        plain(folder, state, random, number)

    monkeypatch.setattr(saving, "write_state", write)
    step(*training)
    with Saver(tmp_path / "state", *training, None) as saver:
        saver.save(1)
        saver.save(2)
        saver.save(3)
        with pytest.raises(WorkFailed, match="disk full"):
            saver.finish()
    assert written == [2] and capsys.readouterr().err == "artv: disk full: state; training goes on\n"


def test_busy_while_the_last_one_is_being_written_and_leaving_waits_for_it(tmp_path, training, monkeypatch):
    begun, go, ended = threading.Event(), threading.Event(), []

    def write(folder, state, random, number):
        begun.set()
        assert go.wait(20)
        ended.append(number)

    monkeypatch.setattr(saving, "write_state", write)
    step(*training)
    with pytest.raises(KeyboardInterrupt), Saver(tmp_path / "state", *training, None) as saver:
        saver.save(1)
        assert begun.wait(20) and saver.busy
        go.set()
        raise KeyboardInterrupt
    assert ended == [1] and not saver.busy


def test_a_state_is_written_also_where_its_pipeline_cannot_be_and_that_is_told_before_the_next_save(
    tmp_path, training, capsys
):
    def on_save(model, number):
        raise WorkFailed("disk full: pipeline")

    step(*training)
    with Saver(tmp_path / "state", *training, on_save) as saver:
        saver.save(1)
        while saver.busy:
            time.sleep(0.01)
        saver.tell()
        saver.tell()
        assert capsys.readouterr().err == "artv: disk full: pipeline; training goes on\n"
        saver.finish()
    model = torch.nn.Linear(3, 2)
    assert load_state(tmp_path / "state", model, Ema(model), torch.optim.AdamW(model.parameters())) == 1
