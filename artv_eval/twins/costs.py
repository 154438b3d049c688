"""What a training is expected to cost, for the plan: from what was measured, not from a probe here."""

from artv.training.config import TrainConfig

SAMPLES_A_SECOND = {("shapes", "cuda"): 13_000.0, ("paper", "cuda"): 107.0, ("shapes", "cpu"): 75.0}
"""Measured: one NVIDIA H200; two cores of an AMD EPYC."""

START_SECONDS = {"cuda": 30.0, "cpu": 60.0}
"""Loading, and encoding the built-in world's clips."""


def cost_of(config: TrainConfig, device: str) -> tuple[float | None, int]:
    """Minutes on one device (None where no such training was measured), and bytes on disk while it trains."""
    rate = SAMPLES_A_SECOND.get((config.preset, device))
    samples = config.model.steps * config.model.batch_size
    minutes = None if rate is None else (samples / rate + START_SECONDS[device]) / 60
    return minutes, disk_of(config)


def disk_of(config: TrainConfig) -> int:
    """Bytes: float32 weights, their average and Adam's two moments, twice while one state replaces another, and the
    pipeline."""
    import torch

    from artv.networks import ArtVModel

    with torch.device("meta"):
        weights = sum(p.numel() for p in ArtVModel.from_config(config.sizes()).parameters())
    return 4 * weights * (2 * 4 + 2)
