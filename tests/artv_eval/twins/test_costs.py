"""What a training is expected to cost: by hand from steps, batch and the number of weights, and by training."""

import time
from dataclasses import replace
from unittest.mock import ANY

import pytest
import torch

from artv.config import ModelConfig
from artv.data.latents import LatentCache
from artv.networks import ArtVModel
from artv.presets import load_components
from artv.training.config import load_config, with_loop
from artv.training.model import train_model
from artv_eval.twins.costs import START_SECONDS, cost_of


def trained(steps):
    return with_loop(load_config("shapes"), "model", steps=steps, batch_size=512)


def test_minutes_are_samples_by_the_measured_rate_and_a_start():
    minutes, _ = cost_of(trained(1000), "cuda")
    assert minutes == pytest.approx((512_000 / 25_000 + START_SECONDS) / 60)  # as training-h200 has it
    twice, _ = cost_of(trained(2000), "cuda")
    assert twice - minutes == pytest.approx(minutes - START_SECONDS / 60)


def test_networks_that_nothing_tells_of_have_no_time():
    minutes, disk = cost_of(load_config("paper"), "cpu")
    assert minutes is None and disk > 0
    wide = replace(load_config("shapes").sizes().dynamic, channels=(256, 256, 256), heads=(4, 4, 4))
    larger = load_config("shapes").model_copy(update={"networks": ModelConfig(dynamic=wide, mask=None)})
    assert cost_of(larger, "cuda")[0] is None
    assert cost_of(load_config("shapes", mask=False), "cuda") == (cost_of(load_config("shapes"), "cuda")[0], ANY)


def test_minutes_on_a_cpu_are_those_of_its_own_steps(tmp_path):
    """A training takes about what its steps were said to take."""
    small = replace(
        load_config("shapes").sizes().dynamic, channels=(16, 16, 16), heads=(1, 1, 1), layers=1, norm_groups=8
    )
    config = with_loop(load_config("shapes"), "model", steps=12, batch_size=4)
    config = config.model_copy(update={"networks": ModelConfig(dynamic=small, mask=None)})
    state = torch.random.get_rng_state()
    said = 60 * cost_of(config, "cpu")[0] - START_SECONDS
    assert torch.equal(torch.random.get_rng_state(), state)
    model = ArtVModel.from_config(config.sizes())
    clips = LatentCache(torch.randn(8, 16, 4, 16, 16).half(), torch.randn(8, 32, 96).half())
    started = time.process_time()
    train_model(model, clips.sample, torch.randn(32, 96), config, tmp_path)
    took = (time.process_time() - started) / torch.get_num_threads()
    assert said / 4 < took < 8 * said  # what is written at the end is in it


def test_disk_is_three_states_of_weights_average_and_two_moments_and_three_pipelines():
    config = load_config("shapes")
    weights = sum(p.numel() for p in ArtVModel.from_config(config.sizes()).parameters())
    encoders = sum(p.numel() for module in load_components("shapes").values() for p in module.parameters())
    assert cost_of(config, "cuda")[1] == pytest.approx(3 * (4 * 4 * weights) + 3 * 4 * (weights + encoders), rel=1e-3)
    assert cost_of(load_config("shapes", mask=False), "cuda")[1] < cost_of(config, "cuda")[1]
