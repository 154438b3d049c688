"""Training state on disk: safetensors for weights, a weights-only file for the optimiser, and all or nothing."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from artv.errors import UserError, WorkFailed
from artv.training import processes
from artv.training.ema import Ema


def save_state(folder: Path, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Called by every process: the main one writes, with the random state of each.

    Raises:
        WorkFailed: the disk is full, or the like; the state of before is kept.
    """
    random = processes.gather(_random_state())
    if not processes.is_main():
        return
    with replacing(folder) as fresh:
        for name, module in (("model", model), ("ema", ema.model)):
            save_file({k: v.contiguous() for k, v in module.state_dict().items()}, fresh / f"{name}.safetensors")
        torch.save({"optimizer": optimizer.state_dict(), "random": random}, fresh / "optimizer.pt")
        (fresh / "step.json").write_text(json.dumps({"step": step}), encoding="utf-8")


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder beside ``folder`` to write to, then swapped in: a killed process leaves the old one or the new one.

    Raises:
        WorkFailed: it could not be written (safetensors and ``torch.save`` have errors of their own for a full disk).
    """
    fresh, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        yield fresh
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        kept = "what was there before is kept" if folder.exists() else "nothing was saved before"
        raise WorkFailed(
            f"cannot write {folder}: {reason}; {kept}; free some space and run the same command again"
        ) from None
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_state(folder: Path, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer) -> int:
    """Restores what :func:`save_state` wrote; returns the number of finished steps, 0 if nothing was saved."""
    if not saved_step(folder):
        return 0
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
        ema.model.load_state_dict(load_file(folder / "ema.safetensors"))
        state = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
        optimizer.load_state_dict(state["optimizer"])
    except (OSError, RuntimeError, KeyError, ValueError, SafetensorError) as error:
        raise _unusable(folder, error) from None
    if processes.world() == len(state["random"]):  # otherwise the seeds of a start are as good
        mine = state["random"][processes.rank()]
        torch.set_rng_state(mine["cpu"])
        if "cuda" in mine and torch.cuda.is_available():
            torch.cuda.set_rng_state(mine["cuda"])
    return saved_step(folder)


def saved_step(folder: Path) -> int:
    """Finished steps of the state in ``folder``; 0 if nothing was saved."""
    old = folder.with_suffix(".old")
    if processes.is_main() and not folder.exists() and old.exists():  # killed between the two renames
        old.rename(folder)
    processes.wait()
    if not folder.exists():
        return 0
    try:
        return json.loads((folder / "step.json").read_text(encoding="utf-8"))["step"]
    except (OSError, KeyError, ValueError) as error:
        raise _unusable(folder, error) from None


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _unusable(folder: Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0]
    return UserError(f"cannot resume from {folder}: {reason}; train into another folder, or delete this one")
