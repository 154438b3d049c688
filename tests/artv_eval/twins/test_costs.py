"""What a training is expected to cost: by hand from steps, batch and the number of weights."""

import pytest

from artv.networks import ArtVModel
from artv.training.config import load_config, with_loop
from artv.training.estimate import SAMPLES_A_SECOND
from artv_eval.twins.costs import START_SECONDS, cost_of


def trained(steps):
    return with_loop(load_config("shapes"), "model", steps=steps, batch_size=500)


def test_minutes_are_samples_by_the_measured_rate_and_a_start():
    minutes, _ = cost_of(trained(1000), "cuda")
    assert minutes == pytest.approx((500_000 / SAMPLES_A_SECOND["shapes", 64] + START_SECONDS) / 60)
    twice, _ = cost_of(trained(2000), "cuda")
    assert twice - minutes == pytest.approx(minutes - START_SECONDS / 60)


def test_where_nothing_was_measured_nothing_is_said_of_time():
    minutes, disk = cost_of(load_config("shapes"), "cpu")
    assert minutes is None and disk > 0


def test_disk_is_three_states_of_weights_average_and_two_moments_and_three_pipelines():
    config = load_config("shapes")
    weights = sum(p.numel() for p in ArtVModel.from_config(config.sizes()).parameters())
    assert cost_of(config, "cpu")[1] == 3 * (4 * 4 * weights) + 3 * 4 * weights
    assert cost_of(load_config("shapes", mask=False), "cpu")[1] < cost_of(config, "cpu")[1]
