"""What is told before a training begins: components that are missing, noise levels, launchers."""

import pytest
import torch

from artv.errors import UserError
from artv.training import launch
from artv.training.config import load_config
from artv.training.launch import launch_training

NOTHING = {"components": None, "init": None, "revision": None, "device": "cpu"}


@pytest.mark.parametrize(
    ("stages", "missing"),
    [
        (["model"], "autoencoder"),
        (["autoencoder", "model"], "text_encoder"),
        (["text_encoder", "model"], "autoencoder"),
    ],
)
def test_networks_need_both_components(tmp_path, stages, missing):
    with pytest.raises(UserError, match=f"the stage model needs {missing}: add it to --stages, or give --components"):
        launch_training(load_config("shapes"), tmp_path / "run", stages=stages, **NOTHING)
    assert not (tmp_path / "run").exists()


def test_noise_levels_are_looked_at_first(tmp_path):
    config = load_config("shapes", ref_noise="uniform:0:2")
    with pytest.raises(UserError, match="noise levels uniform: high is 2"):
        launch_training(config, tmp_path / "run", stages=["model"], **NOTHING)


@pytest.fixture
def alone(monkeypatch):
    for name in (*launch._WORLD_SIZES, "ACCELERATE_USE_CPU", "MASTER_ADDR", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", launch._WORLD_SIZES)
def test_one_process_of_a_launcher_is_a_process_alone(alone, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert launch._own_device("cpu") == (torch.device("cpu"), None)


def test_a_launcher_that_would_start_one_process_only_is_told(alone, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert launch._own_device("cpu") == (torch.device("cpu"), None)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(UserError, match="torchrun --nproc-per-node N -m artv train … --device cpu"):
        launch._own_device("cpu")


@pytest.mark.parametrize(
    ("here", "gpus", "device", "fits"),
    [(2, 2, None, True), (1, 0, None, True), (4, 0, None, True), (3, 2, "cpu", True), (3, 2, None, False)],
)
def test_each_process_has_a_gpu_of_its_own(alone, monkeypatch, here, gpus, device, fits):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(here))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    if fits:
        launch._check_gpus(device)
    else:
        with pytest.raises(UserError, match="3 processes for the 2 GPUs"):
            launch._check_gpus(device)
