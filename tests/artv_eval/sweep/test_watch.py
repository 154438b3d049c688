"""``artv-eval watch``: every checkpoint of a real training scored once, whatever the training does meanwhile."""

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from artv.cli import app as training
from artv.errors import UserError
from artv.files import claim
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
    aside = run.with_name("aside")
    for step, pipeline in watch.checkpoints(once=False):  # the training is finished, so this ends
        (run / "pipeline").rename(aside)  # what it saves next takes nothing away
        (row,) = watch.score(step, pipeline, lambda results: None)
        aside.rename(run / "pipeline")
    assert row["step"] == 1 and row["metric"] == "drift" and row["n"] == 2 and row["status"] == "ok"
    assert row["ci_low"] <= row["value"] <= row["ci_high"]
    assert watch.rows() == [row] and not list(watch.checkpoints(once=True))
    assert json.loads((run / "watch" / "best" / "best.json").read_text()) == row
    assert (run / "watch" / "best" / "model_index.json").is_file() and not list((run / "watch" / "held").iterdir())
    draw([row, {**row, "step": 2, "ci_low": None, "ci_high": None}], run / "curves.svg")
    assert (run / "curves.svg").read_text().count("<svg") == 1


def test_other_clips_or_metrics_are_points_of_their_own_and_the_best_is_of_its_like(run):
    """After the test above: the checkpoint was scored on two clips by drift."""
    (first,) = Watch(PluginManager(PluginOptions()), run, SETTINGS).rows()
    more = Watch(PluginManager(PluginOptions()), run, SETTINGS | {"metrics": ["flicker", "drift"]})
    assert more.done() == set()  # one of its metrics was not asked
    older = {key: value for key, value in first.items() if key not in ("num_videos", "protocol_hash")}
    impossible = {**older, "metric": "flicker", "value": -1.0, "n": 3, "step": 0}  # of other clips, and better than any
    more.file.write_text(json.dumps(impossible) + "\n" + json.dumps(older) + "\n", encoding="utf-8")
    for step, pipeline in more.checkpoints(once=True):
        found = more.score(step, pipeline, lambda results: None)
    assert (
        more.rows() == [impossible, *found]
        and {row["metric"]: row["value"] for row in found}["drift"] == first["value"]
    )
    assert more.like_asked() == found and more.done() == {1} and not list((run / "watch" / "held").iterdir())
    assert json.loads((run / "watch" / "best" / "best.json").read_text())["metric"] == "flicker"
    assert Watch(PluginManager(PluginOptions()), run, SETTINGS | {"num_videos": 3}).done() == set()
    assert Watch(PluginManager(PluginOptions()), run, SETTINGS | {"frames": 4}).done() == set()


def test_a_kill_behind_a_score_loses_neither_the_point_nor_the_best(run, tmp_path):
    again = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("watch"))
    watch = Watch(PluginManager(PluginOptions()), again, SETTINGS)
    watch.file.mkdir(parents=True)  # so that it ends where the points are written
    _, pipeline = next(watch.checkpoints(once=True))
    with pytest.raises(OSError, match=r"curves\.jsonl"):
        watch.score(1, pipeline, lambda results: None)
    watch.file.rmdir()
    shutil.rmtree(again / "pipeline")  # the training has saved another one
    watch = Watch(PluginManager(PluginOptions()), again, SETTINGS)
    with watch.alone():
        for step, pipeline in watch.checkpoints(once=True):
            (row,) = watch.score(step, pipeline, lambda results: None)
    assert watch.rows() == [row] and row["step"] == 1
    assert json.loads((again / "watch" / "best" / "best.json").read_text()) == row
    assert (again / "watch" / "best" / "model_index.json").is_file()


def hold(file, held, end):
    with claim(file, [0]):
        held.set()
        end.wait(30)


def test_a_run_is_watched_by_one_process(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    watch = Watch(PluginManager(PluginOptions()), tmp_path, SETTINGS)
    for name in ("00000001", "00000002.new"):
        (watch.folder / "held" / name).mkdir(parents=True)
    fork = multiprocessing.get_context("fork")
    held, end = fork.Event(), fork.Event()
    other = fork.Process(target=hold, args=(watch.folder / "lock", held, end))
    other.start()
    assert held.wait(30)
    with pytest.raises(UserError, match="is watched by another process"), watch.alone():
        pass
    assert (watch.folder / "held" / "00000002.new").exists()
    end.set()
    other.join(30)
    with watch.alone():  # what a killed one held is scored, what it had half copied is not
        assert [path.name for path in (watch.folder / "held").iterdir()] == ["00000001"]


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
