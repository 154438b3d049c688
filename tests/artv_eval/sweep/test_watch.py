"""``artv-eval watch``: every checkpoint of a real training scored once, whatever the training does meanwhile."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from artv.cli import app as training
from artv.errors import UserError
from artv_eval.plugins.manager import PluginManager, PluginOptions
from artv_eval.sweep.watch import Watch, _step_of, draw

SETTINGS = {"preset": "shapes", "num_videos": 2, "metrics": ["drift"], "frames": 3, "steps": 2}


def train(run: Path, steps: int) -> None:
    command = [
        "train",
        "--preset",
        "shapes",
        "--out",
        str(run),
        "--clips",
        "4",
        "--steps",
        str(steps),
        "--device",
        "cpu",
    ]
    command += ["--batch-size", "1", "--components", "shapes", "--stages", "model", "--tracker", "none"]
    done = CliRunner().invoke(training, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("watched") / "run"
    train(run, 1)
    return run


def test_each_checkpoint_becomes_a_point(run):
    watch = Watch(PluginManager(PluginOptions()), run, SETTINGS)
    for step, pipeline in watch.checkpoints(once=False):  # the training is finished, so this ends
        shutil.rmtree(run / "pipeline")  # what it saves next takes nothing away
        (row,) = watch.score(step, pipeline, lambda results: None)
    assert row["step"] == 1 and row["metric"] == "drift" and row["n"] == 2 and row["status"] == "ok"
    assert row["ci_low"] <= row["value"] <= row["ci_high"]
    assert watch.rows() == [row] and not list(watch.checkpoints(once=True))
    assert json.loads((run / "watch" / "best" / "best.json").read_text()) == row
    assert (run / "watch" / "best" / "model_index.json").is_file() and not list((run / "watch" / "held").iterdir())
    draw([row, {**row, "step": 2, "ci_low": None, "ci_high": None}], run / "curves.svg")
    assert (run / "curves.svg").read_text().count("<svg") == 1


def test_a_folder_that_is_no_training(tmp_path):
    with pytest.raises(UserError, match="is no training run"):
        Watch(PluginManager(PluginOptions()), tmp_path, SETTINGS)


@pytest.mark.parametrize(("wrong", "words"), [({"metrics": ["drfit"]}, "drift"), ({"num_videos": 0}, "num-videos")])
def test_what_was_asked_for_is_checked_before_a_checkpoint_is_there(tmp_path, wrong, words):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=words):
        Watch(PluginManager(PluginOptions()), tmp_path, SETTINGS | wrong)


def test_points_that_a_kill_cut_off_are_found_again(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    watch = Watch(PluginManager(PluginOptions()), tmp_path, SETTINGS)
    watch.folder.mkdir()
    watch.file.write_text('{"step": 1}\n[]\n{"step": 2, "me', encoding="utf-8")
    assert watch.rows() == [{"step": 1}]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"step": null}'])
def test_a_checkpoint_that_says_no_step_is_named(tmp_path, text):
    (tmp_path / "step.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"step\.json"):
        _step_of(tmp_path)
