"""How much is done at once, and by whom."""

from artv.devices import cores

BATCH_SIZE = {"cpu": 10, "cuda": 24}
"""Clips made at once, which are what an interruption costs; on a CPU 10 take 2 % longer a clip than 20 do."""


MANY_FRAMES = 1000
"""From here on a second process on a CPU, where each has one thread, gains more than the 10 s in which it starts."""

PROCESSES = 4
"""At most so many on a CPU: each holds the libraries and a model, some 1 GB."""


def default_executor(device: str, frames: int) -> tuple[str, dict[str, int]]:
    """Who makes ``frames`` frames in all, and its settings.

    ``gpus`` where ``cuda`` was asked for and there are several, or on a CPU where there is much to do and several
    cores; else ``serial``.
    """
    import torch

    if device == "cuda" and torch.cuda.device_count() > 1:
        return "gpus", {}
    if device == "cpu" and frames >= MANY_FRAMES and cores() > 1:
        return "gpus", {"processes": min(cores(), PROCESSES)}
    return "serial", {}
