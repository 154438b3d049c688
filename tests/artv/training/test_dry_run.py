"""``artv train --dry-run``: settings, sizes, weights of a variant, too many processes, before any work."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from artv.cli import app
from artv.errors import UserError
from artv.networks import ArtVModel
from artv.training.config import ENCODERS, TrainConfig, identity, load_config, with_loop
from artv.training.dry_run import disk_of_stages
from artv.training.estimate import GIB, disk_of, encoders_of, estimate, latents_of
from artv.training.launch import _check_gpus
from tests.artv.test_convert import tiny_config, tiny_pipeline


def planned(*options: object):
    return CliRunner().invoke(app, ["train", "--dry-run", *map(str, options)])


def test_the_plan_has_settings_and_what_they_take(tmp_path):
    (tmp_path / "mine.yaml").write_text("{model: {lr: 0.0002}, drop_text: 0.3}")
    done = planned("--preset", "shapes", "--out", tmp_path / "run", "--components", "shapes", "--device", "cpu",
                   "--config", tmp_path / "mine.yaml", "--steps", 70, "--clips", 12)  # fmt: skip
    assert done.exit_code == 0, done.output
    settings, _, plan = done.stdout.partition("\n\n")
    stored = TrainConfig.model_validate(yaml.safe_load(settings))
    assert (stored.drop_text, stored.model.lr, stored.model.steps, stored.clips) == (0.3, 2e-4, 70, 12)
    networks = sum(p.numel() for p in ArtVModel.from_config(preset="shapes").parameters())
    assert f"{(60 * networks + 12 * encoders_of('shapes')) / 2**20:.0f} MiB at most" in plan
    assert (
        "builtin: 12 clips" in plan
        and "validation" not in plan  # after 1,000 steps
        and "steps        70 of 32 samples" in plan
        and "samples/s, by a few steps on this CPU" in plan
    )
    assert not (tmp_path / "run").exists()


def test_estimates_are_what_was_measured_on_an_h200():
    """benchmarks/results/training-h200: 79.3 and 82.3 GiB; 86.5, 35.9, 90.0 and 38.4 with samples drawn apart."""
    paper = load_config("paper")
    apart = paper.model_copy(update={"stratified": False})
    measured = ((paper, 79.3), (with_loop(paper.model_copy(update={"size": 640}), "model", batch_size=32), 82.3),
                (apart, 86.5), (with_loop(apart, "model", batch_size=32), 38.4),
                (apart.model_copy(update={"recompute": True}), 35.9),
                (with_loop(apart.model_copy(update={"size": 640}), "model", batch_size=32), 90.0))  # fmt: skip
    for config, gib in measured:
        assert estimate(config).memory == pytest.approx(gib * GIB, rel=0.02)
    assert disk_of(with_loop(paper, "model", optimizer="adamw8bit")) < disk_of(paper)


def written(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_disk_is_what_a_training_writes(tmp_path):
    """Three states and three pipelines at most, and the latents that it streams."""
    (tmp_path / "mine.yaml").write_text("{stream: true, workers: 0, num_frames: 4, size: 32, sample_every: 0}")
    command = ["--preset", "shapes", "--init", "shapes:no-mask", "--no-mask", "--stages", "model", "--device", "cpu",
               "--config", tmp_path / "mine.yaml", "--out", tmp_path / "run", "--steps", 2, "--clips", 8,
               "--batch-size", 2, "--tracker", "none"]  # fmt: skip
    plan = planned(*command)
    assert plan.exit_code == 0 and f"MiB in {tmp_path / 'run' / 'latents'}" in plan.stdout, plan.output
    done = CliRunner().invoke(app, ["train", *map(str, command)])
    assert done.exit_code == 0, done.output
    state, pipeline, latents = (written(tmp_path / "run" / name) for name in ("model/state", "pipeline", "latents"))
    config = load_config("shapes", tmp_path / "mine.yaml", mask=False)
    assert disk_of(config) == pytest.approx(3 * state + 3 * pipeline, rel=0.01)
    assert latents_of(config, 8) == pytest.approx(latents, rel=0.1)


def test_disk_of_a_run_that_trains_its_encoders_and_what_refuses_to_go_on(tmp_path):
    settings = "{num_frames: 4, size: 32, sample_every: 0, validate_every: 0, %s}"
    stages = "autoencoder: {batch_size: 2, save_minutes: 0}, text_encoder: {batch_size: 2, save_minutes: 0}"
    (tmp_path / "mine.yaml").write_text(settings % stages)
    command = ["--preset", "shapes", "--device", "cpu", "--config", tmp_path / "mine.yaml", "--out", tmp_path / "run",
               "--steps", 2, "--clips", 4, "--batch-size", 2, "--tracker", "none"]  # fmt: skip
    plan = planned(*command).stdout
    done = CliRunner().invoke(app, ["train", *map(str, command)])
    assert done.exit_code == 0, done.output
    config, run = load_config("shapes", tmp_path / "mine.yaml"), tmp_path / "run"
    left = sum(2 * written(run / stage / "state") + written(run / stage / "weights") for stage in ENCODERS)
    assert disk_of_stages(config) == pytest.approx(left, rel=0.02)
    assert f"{(disk_of(config) + disk_of_stages(config)) / 2**20:.0f} MiB at most in {run}; " in plan
    again = planned(*command)
    assert again.exit_code == 0 and f"{written(run) / 2**20:.0f} MiB are there; " in again.stdout
    for change in (["--seed", 3], ["--batch-size", 1]):  # as the training itself would be
        refused = [
            CliRunner().invoke(app, ["train", *map(str, [*command, *change, *dry])]) for dry in ([], ["--dry-run"])
        ]
        assert str(refused[0].exception) == str(refused[1].exception) and refused[1].exit_code != 0
    (run / "inputs.json").write_text(json.dumps({"clips": "3 of other ones"}))
    assert "was begun with other clips" in str(planned(*command).exception)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("ref_noise: uniform:0:3", "noise levels uniform: high"),
        ("model: {optimizer: adamw8bit}", "adamw8bit is for GPUs"),
        ("trackers: wandbb", "did you mean wandb"),
    ],
)
def test_what_a_training_would_refuse_is_refused(tmp_path, settings, words):
    (tmp_path / "mine.yaml").write_text(f"{{{settings}}}")
    done = planned("--preset", "shapes", "--device", "cpu", "--config", tmp_path / "mine.yaml", "--out", tmp_path / "r")
    assert isinstance(done.exception, UserError) and words in str(done.exception)


def test_each_of_the_papers_pipelines_holds_the_encoders_of_stable_diffusion():
    """Files of SD-2.1-base in float32: 334.6 MB of the autoencoder, 1,361.6 MB of the text encoder."""
    assert 4 * encoders_of("paper") == pytest.approx(334.6e6 + 1361.6e6, rel=1e-3)
    paper = load_config("paper")
    assert disk_of(paper) - disk_of(paper, 0) == 12 * encoders_of("paper")


def test_encoders_are_those_that_are_given(tmp_path, half):
    weights = sum(p.numel() for name in ("vae", "text_encoder") for p in getattr(tiny_pipeline(), name).parameters())
    command = ["--preset", "paper", "--init", half, "--config", settings(tmp_path), "--variant", "fp16"]
    done = planned(*command, "--out", tmp_path / "run", "--device", "cpu")
    config = load_config("paper", tmp_path / "tiny.yaml")
    assert f"checkpoints  {disk_of(config, weights) / 2**20:.0f} MiB" in done.stdout, done.output
    assert disk_of(config) > 4 * GIB > disk_of(config, weights)


def test_settings_that_came_later_leave_the_hash_as_it_was():
    plain = identity(load_config("shapes"))
    assert "validate_every" not in plain and "optimizer" not in plain["model"] and plain["model"]["graph"]
    assert identity(load_config("shapes", validate_every=7)) == plain
    assert (
        identity(with_loop(load_config("shapes"), "model", optimizer="adamw8bit"))["model"]["optimizer"] == "adamw8bit"
    )


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sd")
    tiny_pipeline().to(torch.float16).save_pretrained(folder, variant="fp16")
    return folder


def settings(tmp_path: Path) -> Path:
    sizes = json.dumps({"networks": tiny_config().to_dict(), "size": 64})
    (tmp_path / "tiny.yaml").write_text(sizes)
    return tmp_path / "tiny.yaml"


def test_a_folder_of_half_precision_names_its_variant(tmp_path, half):
    command = ["--preset", "paper", "--init", half, "--config", settings(tmp_path), "--out", tmp_path / "run"]
    done = planned(*command, "--device", "cpu")
    assert isinstance(done.exception, UserError) and "artv train --variant fp16" in str(done.exception)
    done = planned(*command, "--device", "cpu", "--variant", "fp16")
    assert done.exit_code == 0 and "keys and shapes are as they must be" in done.stdout, done.output


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ("shapes:no-mask", "mask.channels is None, not (16, 24, 24)"),
        ("shapes:long-1", "dynamic.channels is (32, 32, 32), not (64, 64, 64)"),
    ],
)
def test_networks_of_other_sizes_are_told_before_the_training(tmp_path, init, words):
    done = planned("--preset", "shapes", "--init", init, "--out", tmp_path / "run", "--clips", 2, "--device", "cpu")
    assert isinstance(done.exception, UserError) and words in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_no_weights_at_all(tmp_path, half):
    shutil.copytree(half, tmp_path / "sd")
    (tmp_path / "sd" / "unet" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    done = planned("--preset", "paper", "--init", tmp_path / "sd", "--config", settings(tmp_path),
                   "--out", tmp_path / "run", "--variant", "fp16", "--device", "cpu")  # fmt: skip
    assert "no safetensors weights of variant 'fp16' (there: no weights)" in str(done.exception)


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="8 processes for the 2 GPUs of this machine"):
        _check_gpus(None)
    _check_gpus("cpu")


def test_what_it_is_watched_by_is_looked_at(tmp_path):
    """Files that cannot be read would be found by the training, hours later."""
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "a.mp4").write_bytes(b"no video")
    (tmp_path / "held" / "captions.csv").write_text("file,caption\na.mp4,a red circle\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("{validate_every: 10, sample_every: 0}")
    command = ["--preset", "shapes", "--out", tmp_path / "run", "--components", "shapes", "--device", "cpu",
               "--steps", 70, "--clips", 12, "--config", tmp_path / "mine.yaml"]  # fmt: skip
    done = planned(*command)
    assert "validation   12 clips of the test split: loss every 10 steps\n" in done.output
    refused = planned(*command, "--validation", tmp_path / "held")
    assert isinstance(refused.exception, UserError) and "a.mp4 cannot be read" in str(refused.exception)
