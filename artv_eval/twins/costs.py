"""What a training is expected to cost, for the plan: from what was measured, not from a probe here."""

from artv.training.config import TrainConfig

SAMPLES_A_SECOND = {("shapes", "cuda"): 25_000.0, ("paper", "cuda"): 189.0}
"""Measured on one NVIDIA H200, a training alone on it: benchmarks/results/training-h200. Elsewhere nothing is said."""

START_SECONDS = 30.0
"""Loading, and encoding the built-in world's clips, on such a machine."""


def cost_of(config: TrainConfig, device: str) -> tuple[float | None, int]:
    """Minutes on one device (None where no such training was measured), and bytes on disk while it trains."""
    rate = SAMPLES_A_SECOND.get((config.preset, device))
    samples = config.model.steps * config.model.batch_size
    minutes = None if rate is None else (samples / rate + START_SECONDS) / 60
    return minutes, disk_of(config)


def disk_of(config: TrainConfig) -> int:
    """Bytes: two states of float32 weights, their average and Adam's two moments, a third while it is written, and the
    pipeline."""
    import torch

    from artv.networks import ArtVModel

    with torch.device("meta"):
        weights = sum(p.numel() for p in ArtVModel.from_config(config.sizes()).parameters())
    return 4 * weights * (3 * 4 + 2)
