"""Rows of a log: whole after a kill, in order after a disk that was full, which ends nothing."""

import json
import resource
from contextlib import contextmanager

import pytest

from artv.training.rows import RowFile


def rows(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@contextmanager
def room_for(size: int):
    """Files may have so many bytes: what goes beyond is written in part, then refused, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("cut", ['{"step": 2, "lo', '{"step": 2}'])
def test_what_a_kill_cut_off_is_taken_out_and_the_next_row_is_one(tmp_path, cut):
    file = tmp_path / "log.jsonl"
    file.write_text('{"step": 1}\n' + cut, encoding="utf-8")
    with RowFile(file) as log:
        assert rows(file) == [{"step": 1}]
        log.write({"step": 2, "loss": 0.5})
        assert rows(file) == [{"step": 1}, {"step": 2, "loss": 0.5}]


@pytest.mark.parametrize("room", [0, 1, 13, 24, 30])
def test_rows_wait_for_room_and_come_in_their_order(tmp_path, capsys, room):
    file = tmp_path / "log.jsonl"
    with RowFile(file) as log:
        with room_for(room):
            for step in range(5):
                log.write({"step": step})
                kept = rows(file)  # never a part of one
                assert kept == [{"step": k} for k in range(min(step + 1, room // 12))]
        log.write({"step": 5})
    assert rows(file) == [{"step": step} for step in range(6)]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(file) in said and "the work goes on" in said


def test_processes_that_keep_none(tmp_path):
    with RowFile(None) as log:
        log.write({"step": 1})
    assert not list(tmp_path.iterdir())
