"""Where a command runs, and how much at once."""

from artv.errors import UserError

BATCH_SIZE = {"cpu": 10, "cuda": 24}
"""Clips made at once, which are what an interruption costs; on a CPU 10 take 2 % longer a clip than 20 do."""


def check_device(device: str) -> None:
    """Raises UserError for a device that is neither a CPU nor a CUDA one, or not there."""
    import torch

    try:
        kind, index = torch.device(device).type, torch.device(device).index or 0
    except RuntimeError:
        kind, index = device, 0
    if kind not in BATCH_SIZE:
        raise UserError(f"--device is {device!r}; it must be cpu, cuda or cuda:N")
    if kind == "cuda" and index >= torch.cuda.device_count():
        raise UserError(
            f"--device is {device!r} and this machine has {torch.cuda.device_count()} GPUs; use --device cpu"
        )


def default_executor(device: str) -> str:
    """``gpus`` where ``cuda`` was asked for and there are several, else ``serial``."""
    import torch

    return "gpus" if device == "cuda" and torch.cuda.device_count() > 1 else "serial"
