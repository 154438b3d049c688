"""Validation: the loss against its formula, the training left as it is, the best step kept, trackers and samples."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from artv.cli import app
from artv.data.latents import Batch
from artv.errors import UserError
from artv.networks import ArtVModel, Prediction
from artv.training.trackers import chosen_trackers
from artv.training.validation import METRICS, TIMESTEPS, FixedLoss, Validation, grid


def test_the_loss_is_of_fixed_frames_timesteps_and_noise():
    """A model that predicts no noise at all has the noise's own mean square; one that knows the frame has none."""
    batch = Batch(torch.randn(5, 3, 4, 8, 8).half(), torch.randn(5, 32, 96).half())
    loss, seen = FixedLoss(batch, num_refs=2, at_once=2), []

    class Nothing(ArtVModel):
        def forward(self, z, t, conditions):
            seen.append((z, t, conditions))
            return Prediction(torch.zeros_like(z), None)

    model = Nothing.from_config(preset="shapes")
    first = loss(model)
    torch.manual_seed(1)  # nothing hangs on the training's own numbers
    assert loss(model) == first and tuple(first) == METRICS
    noise = torch.randn(5, 5, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for level, t in enumerate(TIMESTEPS):
        assert first[f"loss@{t}"] == pytest.approx(noise[level].square().mean().item(), rel=1e-5)
    assert first["loss"] == pytest.approx(noise.square().mean().item(), rel=1e-5)
    z, t, conditions = seen[0]
    a, s = model.schedule.a_s(t)
    clean = (z - s * noise[0, :2]) / a
    distance = (batch.latents_BTChw[:2].float() - clean[:, None]).flatten(2).norm(dim=2)
    assert (distance.min(1).values < 1e-3).all() and (distance.argmin(1) > 0).all()
    assert conditions.keep_ref_B.min() == conditions.keep_anchor_B.min() == 1


def test_a_grid_has_frames_and_under_them_masks():
    frames = np.arange(2 * 3, dtype=np.uint8).reshape(2, 3, 1, 1, 1).repeat(4, 2).repeat(4, 3).repeat(3, 4)
    masks = np.zeros((5, 2, 2, 2, 2))
    masks[:, 1, 0] = 1.0
    picture = grid(frames, masks)
    assert picture.shape == (16, 12, 3) and picture[0, ::4, 0].tolist() == [0, 1, 2]
    assert picture[12, ::4, 0].tolist() == [0, 255, 0] and picture[4].max() == 0


NAN = float("nan")


class Toy:
    """A loss on three clips, whatever the model."""

    clips = 3

    def __init__(self, value):
        self.value = value

    def __call__(self, model):
        return {"loss": self.value()}


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([3.0, 2.0, 2.0, 1.0], [True, True, False, True]),
        ([1.0, 2.0, 0.5], [True, False, True]),
        ([NAN, 2.0, NAN, 1.0], [False, True, False, True]),
        ([float("inf"), 5.0], [False, True]),
    ],
)
def test_the_best_step_is_that_of_the_smallest_loss_so_far(tmp_path, losses, best):
    values = iter(losses)
    watch = Validation(Toy(lambda: next(values)), tmp_path, every=10, best_by="loss", precision="fp32")
    steps = [10 * (i + 1) for i in range(len(losses))]
    rows = [watch.values(torch.nn.Linear(1, 1), step) for step in steps]
    assert [row["best"] for row in rows] == best and {row["clips"] for row in rows} == {3}
    last = max(i for i, is_best in enumerate(best) if is_best)
    assert watch.best == {"step": steps[last], "metric": "loss", "value": losses[last]}
    assert watch.values(torch.nn.Linear(1, 1), 11) is None


@pytest.mark.parametrize(("every", "sample_every"), [(0, 0), (3, 0), (0, 4), (3, 4)])
def test_what_is_due_after_which_step(tmp_path, every, sample_every):
    options = {"best_by": "loss", "precision": "fp32", "sample": lambda model: None}
    watch = Validation(None, tmp_path, every=every, sample_every=sample_every, **options)
    expected = [s for s in range(1, 25) if (every and not s % every) or (sample_every and not s % sample_every)]
    assert [step for step in range(1, 25) if watch.due(step)] == expected


@pytest.mark.parametrize(
    ("stored", "goes_on"),
    [
        ('{"step": 7, "metric": "loss", "value": 0.5}', True),
        ('{"step": 7, "metric": "loss@100", "value": 0.5}', False),
        ("{", False),
        ("[]", False),
        (None, False),
    ],
)
def test_a_resumed_run_goes_on_with_the_best_of_before(tmp_path, stored, goes_on):
    if stored is not None:
        (tmp_path / "best").mkdir()
        (tmp_path / "best" / "best.json").write_text(stored, encoding="utf-8")
    watch = Validation(Toy(lambda: 0.75), tmp_path, every=1, best_by="loss", precision="fp32")
    assert watch.values(torch.nn.Linear(1, 1), 8)["best"] != goes_on


def test_the_pipeline_of_the_best_step_is_kept_and_another_is_not(tmp_path):
    watch = Validation(Toy(lambda: 1.0), tmp_path, every=1, best_by="loss", precision="fp32")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "weights").write_bytes(b"step 8")
    watch.keep(8)
    assert not (tmp_path / "best").exists()
    watch.values(torch.nn.Linear(1, 1), 8)
    watch.keep(9)
    assert not (tmp_path / "best").exists()
    watch.keep(8)
    (tmp_path / "pipeline" / "weights").unlink()
    assert (tmp_path / "best" / "weights").read_bytes() == b"step 8"
    assert json.loads((tmp_path / "best" / "best.json").read_text()) == {"step": 8, "metric": "loss", "value": 1.0}


def test_samples_that_find_no_room_end_no_training(tmp_path, capsys):
    (tmp_path / "samples").touch()  # a folder cannot be made there, as on a full disk
    picture = np.zeros((4, 4, 3), np.uint8)
    options = {"every": 0, "best_by": "loss", "precision": "fp32"}
    watch = Validation(None, tmp_path, sample=lambda model: picture, sample_every=1, **options)
    assert watch.picture(torch.nn.Linear(1, 1), 1) is picture
    said = capsys.readouterr().err
    assert "samples/00000001.png" in said and said.count("\n") == 1


def train(out: Path, *options: str):
    command = ["train", "--preset", "shapes", "--out", str(out), "--clips", "4", "--steps", "4", "--batch-size", "2"]
    command += ["--components", "shapes", "--stages", "model", "--device", "cpu", "--config", str(out) + ".yaml"]
    done = CliRunner().invoke(app, [*command, *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_a_watched_training_is_the_same_training(tmp_path):
    (tmp_path / "watched.yaml").write_text(
        "{validate_every: 2, validation_clips: 3, sample_every: 4, num_frames: 4, size: 32}"
    )
    (tmp_path / "alone.yaml").write_text("{validate_every: 0, sample_every: 0, num_frames: 4, size: 32}")
    pytest.importorskip("tensorboard")
    said = train(tmp_path / "watched").stderr
    train(tmp_path / "alone", "--tracker", "none")
    states = [load_file(tmp_path / name / "model" / "state" / "model.safetensors") for name in ("watched", "alone")]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    run = tmp_path / "watched"
    rows = [json.loads(line) for line in (run / "model" / "log.jsonl").read_text().splitlines()]
    found = [row for row in rows if "validation" in row]
    assert [row["step"] for row in found] == [2, 4] and all(set(row["validation"]) == set(METRICS) for row in found)
    assert found[0]["best"] and rows[-1]["step"] == 4
    best = min(found, key=lambda row: row["validation"]["loss"])
    note = json.loads((run / "best" / "best.json").read_text())
    assert note == {"step": best["step"], "metric": "loss", "value": best["validation"]["loss"]}
    assert (run / "best" / "model_index.json").is_file()
    size = Image.open(run / "samples" / "00000004.png").size
    assert size == (4 * 32, 3 * 2 * 32)
    assert f"tensorboard --logdir {run / 'model' / 'trackers'}" in said and "log.jsonl" in said
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "model" / "trackers"))
    events.Reload()
    assert {"loss", "lr", "validation/loss@500"} <= set(events.Tags()["scalars"]) and "samples" in str(events.Tags())
    stored = {event.step: event.value for event in events.Scalars("validation/loss")}
    assert stored == pytest.approx({row["step"]: row["validation"]["loss"] for row in found}, rel=1e-6)


def test_trackers_that_cannot_be():
    with pytest.raises(UserError, match=r"tracker is 'wanb'; .*wandb"):
        chosen_trackers(["wanb"])
    assert chosen_trackers(["none"]) == ()
