"""What a training is expected to cost, for the plan: as measured on a GPU, or by a few steps on this CPU."""

from artv.training.config import TrainConfig

START_SECONDS = 30.0
"""Loading, and encoding the built-in world's clips, on one NVIDIA H200; fewer clips on two CPU cores take as long."""


def cost_of(config: TrainConfig, device: str) -> tuple[float | None, int]:
    """Minutes on one device (None where nothing tells), and bytes on disk while it trains."""
    from artv.training.estimate import estimate, hours_of  # these need torch
    from artv.training.probe import cpu_samples_per_s

    expected = estimate(config)
    rate = None if expected.speed is None else expected.speed.least
    if device == "cpu":
        rate = cpu_samples_per_s(config)
    return None if rate is None else hours_of(config, 1, rate) * 60 + START_SECONDS / 60, expected.disk
