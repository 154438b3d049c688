"""Training state on disk: safetensors for weights, a weights-only file for the optimiser, and all or nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from artv.errors import UserError
from artv.training.ema import Ema


def save_state(folder: Path, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Writes beside ``folder``, then swaps it in: a killed process leaves the old state or the new one."""
    fresh, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, module in (("model", model), ("ema", ema.model)):
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, fresh / f"{name}.safetensors")
    random: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        random["cuda"] = torch.cuda.get_rng_state()
    torch.save({"optimizer": optimizer.state_dict(), "random": random}, fresh / "optimizer.pt")
    (fresh / "step.json").write_text(json.dumps({"step": step}))
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_state(folder: Path, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer) -> int:
    """Restores what :func:`save_state` wrote; returns the number of finished steps, 0 if nothing was saved."""
    old = folder.with_suffix(".old")
    if not folder.exists() and old.exists():  # killed between the two renames
        old.rename(folder)
    if not folder.exists():
        return 0
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
        ema.model.load_state_dict(load_file(folder / "ema.safetensors"))
        state = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
        optimizer.load_state_dict(state["optimizer"])
        step = json.loads((folder / "step.json").read_text())["step"]
    except (OSError, RuntimeError, KeyError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"cannot resume from {folder}: {reason}; train into another folder, or delete this one"
        ) from None
    torch.set_rng_state(state["random"]["cpu"])
    if "cuda" in state["random"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["random"]["cuda"])
    return step
