"""What a training is expected to cost: by hand from steps, batch and the number of weights."""

import pytest

from artv.networks import ArtVModel
from artv.training.config import load_config, with_loop
from artv_eval.twins.costs import SAMPLES_A_SECOND, START_SECONDS, cost_of, disk_of


def trained(steps):
    return with_loop(load_config("shapes"), "model", steps=steps, batch_size=500)


def test_minutes_are_samples_by_the_measured_rate_and_a_start():
    config = trained(1000)
    assert config.model.steps == 1000 and config.model.batch_size == 500
    minutes, _ = cost_of(config, "cuda")
    assert minutes == pytest.approx((500_000 / SAMPLES_A_SECOND["shapes", "cuda"] + START_SECONDS) / 60)
    twice, _ = cost_of(trained(2000), "cuda")
    assert twice - minutes == pytest.approx(minutes - START_SECONDS / 60)


def test_where_nothing_was_measured_nothing_is_said_of_time():
    minutes, disk = cost_of(load_config("shapes"), "cpu")
    assert minutes is None and disk > 0


def test_disk_is_weights_their_average_and_two_moments_three_times_and_the_pipeline():
    config = load_config("shapes")
    weights = sum(p.numel() for p in ArtVModel.from_config(config.sizes()).parameters())
    assert disk_of(config) == 3 * (4 * 4 * weights) + 2 * 4 * weights
    assert disk_of(load_config("shapes", mask=False)) < disk_of(config)
