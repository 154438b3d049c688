"""What a stage tells: means of the steps since the last time, a row of the log and a note."""

import json
import math
import time

import pytest
import torch

from artv.training import record as record_module
from artv.training.record import Record
from artv.training.rows import RowFile


@pytest.fixture
def told():
    return []


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.jsonl"


@pytest.fixture
def record(log, told):
    with RowFile(log) as file:
        yield Record("model", 8, torch.device("cpu"), file, lambda *note: told.append(note))


def rows(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_mean_is_of_the_steps_since_the_last_one(record, log, told):
    assert math.isnan(record.loss)
    for loss in (1.0, 2.0, 6.0):
        record.add(torch.tensor(loss))
    record.write(3, lr=0.5)
    record.add(torch.tensor(10.0))
    record.write(4)
    assert [(row["stage"], row["step"], row["loss"]) for row in rows(log)] == [("model", 3, 3.0), ("model", 4, 10.0)]
    assert [row["samples"] for row in rows(log)] == [3 * 8, 8]
    assert rows(log)[0]["lr"] == 0.5 and "lr" not in rows(log)[1] and "memory_gib" not in rows(log)[0]
    assert record.loss == 10.0 and [step for step, _ in told] == [3, 4]
    assert told[0][1].startswith("loss 3.0000 · ") and told[0][1].endswith(" samples/s")


def test_the_rate_is_samples_of_all_steps_a_second(record, log):
    for _ in range(5):
        record.add(torch.tensor(1.0))
    started = record._since
    while time.monotonic() - started < 0.2:
        time.sleep(0.01)
    record.write(5)
    seconds = record._since - started
    assert rows(log)[0]["samples_per_s"] == pytest.approx(5 * 8 / seconds, rel=0.02)


def test_the_rate_is_of_the_steps_that_are_told_whenever_that_is(record, log):
    """The loop tells them when the next step is done, and the last one at once: on a CPU that is no time for it."""
    for step in (1, 2, 3):
        time.sleep(0.1)
        record.add(torch.tensor(1.0))
        record.tell()
        record.mark(step)
    record.tell()
    assert all(row["samples_per_s"] < 8 / 0.1 for row in rows(log)) and len(rows(log)) == 3


def test_it_is_due_after_some_time_or_many_steps(record, monkeypatch):
    record.add(torch.tensor(1.0))
    assert not record.due
    monkeypatch.setattr(record_module, "_LONGEST", 2)
    record.add(torch.tensor(1.0))
    assert record.due
    record.write(2)
    assert not record.due
    record._since -= 2.1  # seconds
    assert record.due


def test_a_row_of_its_own_is_there_at_once(record, log):
    record.row(event="resumed", step=7)
    assert rows(log) == [{"stage": "model", "event": "resumed", "step": 7}]
