import torch
from artv_example.metric import Liveliness
from artv_example.sampler import sample_midpoint

from artv_eval import testing


def test_contracts():
    testing.check_sampler(sample_midpoint)
    testing.check_metric(Liveliness)


def test_the_sampler_is_of_second_order():
    def error(steps):  # data N(0, 1), whose flow from sigma 10 to 0.1 scales x by sqrt(1.01 / 101)
        sigmas = torch.logspace(1, -1, steps + 1, dtype=torch.float64)
        x = sample_midpoint(lambda x, s: x / (1 + s**2), torch.ones(1, dtype=torch.float64), sigmas)
        return abs(float(x) - (1.01 / 101) ** 0.5)

    assert 3.5 < error(64) / error(128) < 4.5
