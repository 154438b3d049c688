"""What a training is expected to cost, for the plan: from what was measured, not from a probe here."""

from artv.training.config import TrainConfig

START_SECONDS = 30.0
"""Loading, and encoding the built-in world's clips, on one NVIDIA H200."""


def cost_of(config: TrainConfig, device: str) -> tuple[float | None, int]:
    """Minutes on one GPU (None where no such training was measured), and bytes on disk while it trains."""
    from artv.training.estimate import estimate  # which needs torch

    expected = estimate(config)
    hours = expected.hours(config, 1) if device == "cuda" else None
    return None if hours is None else hours * 60 + START_SECONDS / 60, expected.disk
