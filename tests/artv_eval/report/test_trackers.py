"""What trackers and the hub get of a run, read back with their own readers."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from artv_eval.results.store import RunStore

TOY = Path(__file__).parents[1] / "toy"


@pytest.fixture
def run(toy):
    assert toy("--ablation", "noise", "--out", "run").code == 0
    return Path("run")


def document(run):
    return json.loads((run / "results.json").read_text(encoding="utf-8"))


def values(run):
    return {f"{row['ablation']}/{row['metric']}/{row['cell']}": row["value"] for row in document(run)["rows"]}


def test_tensorboard_reads_values_texts_and_clips_back(run, cli):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    outcome = cli("report", run, "--to", "tensorboard:events")
    assert outcome.code == 0, outcome.err
    assert "tensorboard --logdir events" in outcome.err
    read = EventAccumulator("events/run", size_guidance={"images": 0, "tensors": 0, "scalars": 0}).Reload()
    for tag, value in values(run).items():
        (scalar,) = read.Scalars(tag)
        assert scalar.value == pytest.approx(value)
    (text,) = read.Tensors("table/text_summary")
    assert b"noise=much" in text.tensor_proto.string_val[0]
    clips = read.Images("clips/noise=little")
    frames = [
        np.array(f.convert("RGB"))
        for f in ImageSequence.Iterator(Image.open(io.BytesIO(clips[3].encoded_image_string)))
    ]
    cell = next(
        c["id"] for c in json.loads((run / "manifest.json").read_text("utf-8"))["cells"] if c["cell"] == "noise=little"
    )
    wanted = RunStore(run, to_read=True).load_clip(cell, clips[3].step).frames
    assert np.abs(np.array(frames).astype(int) - wanted).mean() < 12  # 256 colours are for looking
    assert len(clips) == 6 and len(frames) == len(wanted)


def test_mlflow_keeps_values_and_clips(run, cli, tmp_path):
    mlflow, *_ = (pytest.importorskip(name) for name in ("mlflow", "sqlalchemy", "alembic"))
    outcome = cli("report", run, "--to", f"mlflow:sqlite:///{tmp_path}/mlflow.db")
    assert outcome.code == 0, outcome.err
    (kept,) = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_runs(["1"])
    for tag, value in values(run).items():
        assert kept.data.metrics[tag.replace("=", "_")] == pytest.approx(value)


def test_wandb_keeps_a_run_offline(run, cli, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    outcome = cli("report", run, "--to", "wandb:mine")
    assert outcome.code == 0, outcome.err
    assert list(Path("wandb").glob("offline-run-*/*.wandb"))


def test_what_a_database_file_of_mlflow_takes_is_said_before_anything_is_sent(run, cli, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)  # as where it is not installed
    outcome = cli("report", run, "--to", "mlflow:sqlite:///mlflow.db")
    assert outcome.code == 2 and "pip install sqlalchemy" in outcome.err and not Path("mlflow.db").exists()


@pytest.mark.parametrize("asked", ["tensorbord", ":x"])
def test_a_tracker_that_is_none_is_one_line(run, cli, asked):
    outcome = cli("report", run, "--to", asked)
    assert outcome.code == 2 and "tensorboard" in outcome.err and len(outcome.err.splitlines()) == 1


def test_the_hub_reads_the_card_of_a_cell(run, cli):
    from huggingface_hub import ModelCard

    outcome = cli("card", run, "--cell", "noise=much", "--license", "apache-2.0")
    assert outcome.code == 0, outcome.err
    card = ModelCard(outcome.out)
    assert (card.data.model_name, card.data.license, card.data.pipeline_tag) == (
        "noise=much",
        "apache-2.0",
        "text-to-video",
    )
    rows = {row["metric"]: row for row in document(run)["rows"] if row["cell"] == "noise=much"}
    found = {item.metric_type: item for item in card.data.eval_results}
    assert set(found) == set(rows)
    for metric, item in found.items():
        assert item.metric_value == pytest.approx(rows[metric]["value"])
        assert item.metric_args["low"] == pytest.approx(rows[metric]["ci_low"]) and item.metric_args["n"] == 6
        assert (item.dataset_name, item.dataset_revision) == ("toy@1", rows[metric]["protocol_hash"])
    assert document(run)["findings"][0]["ablation"] in card.text
    assert "did you mean" in cli("card", run, "--cell", "noise=mush").err
