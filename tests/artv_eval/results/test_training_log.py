"""What a training noted, read: rows of steps that were made again do not count, and n is what was counted."""

import json

import pytest

from artv_eval.results.training_log import logged_counts, logged_losses


@pytest.fixture
def written(tmp_path):
    def write(*rows):
        lines = [row if isinstance(row, str) else json.dumps({"stage": "model", **row}) for row in rows]
        (tmp_path / "log.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return tmp_path / "log.jsonl"

    return write


def test_a_resumed_training_takes_the_place_of_what_it_makes_again(written):
    first = [{"step": step, "loss": 1.0} for step in (60, 68, 74)] + [{"step": 70, "validation": {"loss": 3.0}}]
    again = [{"step": step, "loss": 2.0} for step in (68, 75)] + [{"step": 70, "validation": {"loss": 4.0}}]
    found = logged_losses(written(*first, *again, '{"step": 80, "lo'))
    assert found == {"loss": [(60, 1.0), (68, 2.0), (75, 2.0)], "validation loss": [(70, 4.0)]}


def test_n_is_what_the_means_are_of(written):
    rows = [{"step": 1, "loss": 1.0, "samples": 8}, {"step": 9, "validation": {"loss": 1.0}, "clips": 5},
            {"step": 9, "loss": 1.0, "samples": 24}]  # fmt: skip
    assert logged_counts(written(*rows)) == {"samples": 24, "clips": 5}
    assert logged_counts(written({"step": 1, "loss": 1.0}, "[]")) == {}
    assert logged_losses(written("[]")) == {}


def test_losses_are_read_from_a_log_that_a_kill_cut_off(tmp_path):
    lines = [
        {"stage": "model", "step": 5, "loss": 0.5},
        {"step": 9, "validation": {"loss": 0.75, "loss@100": 0.5}},
        {"step": 9, "loss": 0.25},
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 12, "lo', encoding="utf-8")
    losses = logged_losses(tmp_path / "log.jsonl")
    assert losses == {"loss": [(5, 0.5), (9, 0.25)], "validation loss": [(9, 0.75)], "validation loss@100": [(9, 0.5)]}
    assert logged_losses(tmp_path / "none") == {}
