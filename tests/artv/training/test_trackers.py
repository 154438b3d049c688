"""Trackers: what they are told is in their files, and what they raise ends them, not the training."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from artv.errors import UserError
from artv.training.trackers import Trackers, chosen_trackers

pytest.importorskip("tensorboard")


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "trackers"))
    found.Reload()
    return found


def test_numbers_are_in_tensorboards_files_by_step_and_name(tmp_path):
    trackers = Trackers(["tensorboard"], tmp_path, {"lr": 0.1, "networks": None})
    for step in (1, 5, 9):
        trackers.log(step, {"loss": 1 / step, "validation/loss@100": 2.0 * step})
    trackers.finish()
    found = events(tmp_path)
    assert {e.step: e.value for e in found.Scalars("loss")} == pytest.approx({1: 1, 5: 0.2, 9: 1 / 9})
    assert [e.value for e in found.Scalars("validation/loss@100")] == [2, 10, 18]
    assert trackers.where == [f"tensorboard: tensorboard --logdir {tmp_path / 'trackers'}"]


def test_a_picture_comes_back(tmp_path):
    import io

    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    trackers = Trackers(["tensorboard"], tmp_path, {})
    trackers.picture(7, "samples", picture)
    trackers.finish()
    (name,) = events(tmp_path).Tags()["images"]
    (event,) = events(tmp_path).Images(name)
    assert event.step == 7 and np.array_equal(np.asarray(Image.open(io.BytesIO(event.encoded_image_string))), picture)


def test_one_that_cannot_start_is_told_and_left_out(tmp_path, capsys):
    (tmp_path / "trackers").write_bytes(b"")  # where its folder should be
    trackers = Trackers(["tensorboard"], tmp_path, {})
    trackers.log(1, {"loss": 1.0})
    trackers.finish()
    said = capsys.readouterr().err
    assert said.startswith("artv: tracker tensorboard ended: ") and said.count("\n") == 1
    assert "training goes on without" in said and trackers.where == []


def test_one_that_breaks_is_told_once_and_the_others_go_on(tmp_path, capsys):
    trackers = Trackers(["tensorboard"], tmp_path, {})

    class Broken:
        def log(self, values, step):
            raise OSError("the line is cut\nby somebody")

    trackers._open["wandb"] = Broken()
    for step in (1, 2):
        trackers.log(step, {"loss": 1.0})
    trackers.finish()
    assert capsys.readouterr().err == "artv: tracker wandb ended: the line is cut; training goes on without\n"
    assert [e.step for e in events(tmp_path).Scalars("loss")] == [1, 2]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (None, ("tensorboard",)),
        ([], ()),
        (["none"], ()),
        (["tensorboard", "tensorboard"], ("tensorboard",)),
        (["none", "tensorboard"], ("tensorboard",)),
    ],
)
def test_which_ones(names, chosen):
    assert chosen_trackers(names) == chosen


def test_without_tensorboard_there_is_none_unless_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr("artv.training.trackers.find_spec", lambda name: None)
    assert chosen_trackers(None) == ()
    with pytest.raises(UserError, match=r'tracker wandb needs wandb; pip install "artv\[wandb\]", or leave it out'):
        chosen_trackers(["wandb"])


def test_rows_of_the_log_are_what_trackers_are_told(tmp_path):
    import torch

    from artv.training.record import Record
    from artv.training.rows import RowFile

    trackers = Trackers(["tensorboard"], tmp_path, {})
    with RowFile(tmp_path / "log.jsonl") as log:
        record = Record("model", 4, torch.device("cpu"), log, lambda step, note: None, trackers)
        record.row(step=3, loss=0.5, best=True, validation={"loss": 0.25, "deep": {"x": 1}}, note="text")
    trackers.finish()
    assert json.loads((tmp_path / "log.jsonl").read_text())["note"] == "text"
    assert set(events(tmp_path).Tags()["scalars"]) == {"loss", "validation/loss", "validation/deep/x"}


def test_mlflow_keeps_numbers_pictures_and_settings_beside_the_run(tmp_path, monkeypatch):
    mlflow, *_ = (pytest.importorskip(name) for name in ("mlflow", "sqlalchemy", "alembic"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    picture = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    trackers = Trackers(["mlflow"], tmp_path / "run" / "model", {"lr": 0.1, "networks": None})
    for step in (1, 5):
        trackers.log(step, {"loss": 1 / step, "validation/loss@100": 2.0 * step})
    trackers.picture(5, "samples", picture)
    trackers.finish()
    place = tmp_path / "run" / "model" / "trackers"
    assert trackers.where == [f"mlflow: mlflow ui --backend-store-uri sqlite:///{place / 'mlflow.db'}"]
    client = mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    (kept,) = client.search_runs(["1"])
    assert kept.data.params == {"lr": "0.1"} and kept.info.run_name == "run-model" and kept.info.status == "FINISHED"
    assert [m.value for m in client.get_metric_history(kept.info.run_id, "validation/loss_100")] == [2, 10]
    (file,) = place.rglob("samples*.png")
    from PIL import Image

    assert np.array_equal(np.asarray(Image.open(file)), picture)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]  # nothing where it was started
    assert "MLFLOW_TRACKING_URI" not in os.environ  # MLflow sets it: another run would be told where


def test_wandb_offline_keeps_numbers_pictures_and_settings_beside_the_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tmp_path / "model").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    trackers = Trackers(["wandb"], tmp_path / "model", {"lr": 0.1, "networks": None})
    for step in (1, 5):
        trackers.log(step, {"loss": 1 / step, "validation/loss@100": 2.0 * step})
    trackers.picture(5, "samples", picture)
    trackers.finish()
    (kept,) = (tmp_path / "model" / "wandb").glob("offline-run-*")
    assert trackers.where == [f"wandb: wandb sync {kept}"]
    (file,) = kept.rglob("samples*.png")
    from PIL import Image

    assert np.array_equal(np.asarray(Image.open(file)), picture)
    file = next(kept.glob("*.wandb"))
    for _ in range(300):  # its own process may still be writing
        rows, settings, kinds = wandb_records(file)
        if "exit" in kinds:
            break
        time.sleep(0.1)
    told = [row for row in rows if "validation/loss@100" in row]
    assert [(row["_step"], row["loss"], row["validation/loss@100"]) for row in told] == [(1, 1, 2), (5, 0.2, 10)]
    assert settings["lr"] == 0.1 and "networks" not in settings


def wandb_records(file: Path):
    """Rows, settings and kinds of records in a run's file."""
    from wandb.proto import wandb_internal_pb2

    data, place, rows, settings, kinds = file.read_bytes(), 7, [], {}, set()
    while place < len(data):  # LevelDB's log: behind a header, records of checksum, length, type
        length = int.from_bytes(data[place + 4 : place + 6], "little")
        record = wandb_internal_pb2.Record.FromString(data[place + 7 : place + 7 + length])
        place += 7 + length
        rows += [{"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item}]
        settings |= {item.key: json.loads(item.value_json) for item in record.config.update}
        kinds.add(record.WhichOneof("record_type"))
    return rows, settings, kinds
