"""Training state on disk: safetensors for weights and moments, checksums, the newest state and the one before.

    state/               model.safetensors  ema.safetensors  moments.safetensors  optimizer.pt  step.json
    state.previous/      the same, one checkpoint older
    …/checksums.json     SHA-256 of every file, written last

A state is written beside the others, flushed to disk and renamed when it is whole, so that a killed process leaves
whole ones only. It is checked in full before it is used; where it is damaged, the one before is taken, loudly.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from artv.errors import UserError, WorkFailed
from artv.files import open_regular, read_text, regular
from artv.training import processes
from artv.training.ema import Ema
from artv.training.optimizer import nested_state
from artv.training.snapshot import Snapshot, State

CHECKSUMS = "checksums.json"
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, EOFError, TypeError, AttributeError, SafetensorError)


def save_state(folder: Path, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Called by every process: the main one writes, with the random state of each, and returns when that is done.

    Raises:
        WorkFailed: the disk is full, or the like; the states of before are kept.
    """
    random = gather_random()
    if processes.is_main():
        write_state(folder, Snapshot(model, ema, optimizer).take(), random, step)


def write_state(folder: Path, state: State, random: list[dict[str, Tensor]], step: int) -> None:
    """Writes what :class:`~artv.training.snapshot.Snapshot` took; the newest state becomes the one before."""
    with replacing(folder, keep=previous(folder)) as fresh:
        for name in ("model", "ema", "moments"):
            save_file(getattr(state, name), fresh / f"{name}.safetensors")
        rest = {"state": {}, "param_groups": state.groups}
        small = io.BytesIO()  # torch.save makes "unexpected pos" of a full disk
        torch.save({"optimizer": rest, "random": random}, small)
        (fresh / "optimizer.pt").write_bytes(small.getvalue())
        (fresh / "step.json").write_text(json.dumps({"step": step}), encoding="utf-8")
        sums = {path.name: _checksum(path) for path in sorted(fresh.iterdir())}
        (fresh / CHECKSUMS).write_text(json.dumps(sums, indent=1), encoding="utf-8")


def previous(folder: Path) -> Path:
    """Where the state before the newest one is."""
    return folder.with_name(f"{folder.name}.previous")


@contextmanager
def replacing(folder: Path, keep: Path | None = None) -> Iterator[Path]:
    """A folder beside ``folder`` to write to, then flushed to disk and swapped in: a killed process leaves the old one
    or the new one. ``keep``: where the old one goes; None: away.

    Raises:
        WorkFailed: it could not be written (safetensors has an error of its own for a full disk).
    """
    fresh, old = folder.with_suffix(".new"), folder.with_suffix(".old") if keep is None else keep
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        yield fresh
        for path in [*fresh.rglob("*"), fresh]:
            _flush(path)
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        full = getattr(error, "errno", None) == errno.ENOSPC or f"os error {errno.ENOSPC}" in str(error)
        reason = "the disk is full" if full else (str(error).splitlines() or [type(error).__name__])[0]
        kept = "what was there before is kept" if folder.exists() else "nothing was saved before"
        raise WorkFailed(
            f"cannot write {folder}: {reason}; {kept}; free some space and run the same command again"
        ) from None
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    fresh.rename(folder)
    _flush(folder.parent)
    if keep is None:
        shutil.rmtree(old, ignore_errors=True)


def load_state(folder: Path, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer) -> int:
    """Restores what :func:`save_state` wrote; returns the number of finished steps, 0 if nothing was saved.

    Raises:
        UserError: there is a state, and neither it nor the one before is whole.
    """
    chosen = usable_state(folder)
    if chosen is None:
        return 0
    try:
        model.load_state_dict(load_file(regular(chosen / "model.safetensors")))
        ema.model.load_state_dict(load_file(regular(chosen / "ema.safetensors")))
        state = torch.load(regular(chosen / "optimizer.pt"), map_location="cpu", weights_only=True)
        if (chosen / "moments.safetensors").is_file():  # otherwise all is in optimizer.pt, as until 2026-11
            state["optimizer"]["state"] = nested_state(load_file(regular(chosen / "moments.safetensors")))
        _load_optimizer(optimizer, state["optimizer"])
        step, random = _step_of(chosen), state["random"]
    except _DAMAGE as error:
        raise _unusable(chosen, str(error)) from None
    if processes.world() == len(random):  # otherwise the seeds of a start are as good
        mine = random[processes.rank()]
        torch.set_rng_state(mine["cpu"])
        if "cuda" in mine and torch.cuda.is_available():
            torch.cuda.set_rng_state(mine["cuda"])
    return step


def _load_optimizer(optimizer: torch.optim.Optimizer, stored: dict[str, Any]) -> None:
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(stored)
    for parameter, held in optimizer.state.items():
        for key, value in held.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # files hold rows; the fused AdamW refuses moments in another layout than the weights'
                held[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        # a captured step reads this very tensor, on the device; a stored one would be read once, when it is captured
        group["lr"] = rate.fill_(float(group["lr"])) if isinstance(rate, Tensor) else float(group["lr"])


def saved_step(folder: Path) -> int:
    """Finished steps of the state that :func:`load_state` would take; 0 if nothing was saved."""
    chosen = usable_state(folder)
    return 0 if chosen is None else _step_of(chosen)


def usable_state(folder: Path) -> Path | None:
    """The newest state that is whole; the same in every process. Says so where it is not the newest of all."""
    answer = processes.gather(_find(folder) if processes.is_main() else None)[0]
    if isinstance(answer, UserError):
        raise answer
    return answer


def gather_random() -> list[dict[str, Tensor]]:
    """Every process's random state."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return processes.gather(state)


def _find(folder: Path) -> Path | UserError | None:
    faults: list[str] = []
    # a kill between two renames leaves the newest one in ".new", whole (".old": of before there were two states)
    for each in (folder, folder.with_suffix(".new"), previous(folder), folder.with_suffix(".old")):
        if not each.is_dir() or (each.suffix == ".new" and not (each / CHECKSUMS).is_file()):
            continue
        fault = _fault(each)
        if fault is None:
            if faults:
                print(
                    f"artv: {faults[0]}: it is damaged; going on from step {_step_of(each)} of {each}", file=sys.stderr
                )
            return each
        faults.append(f"{each}: {fault}")
    return _unusable(folder, faults[0]) if faults else None


def _fault(folder: Path) -> str | None:
    """What is wrong with a state, if anything: all of it is read."""
    try:
        _step_of(folder)
        if not (folder / CHECKSUMS).is_file():  # of before there were any
            return None
        sums: dict[str, str] = json.loads(read_text(folder / CHECKSUMS))
        wrong = [name for name, value in sums.items() if _checksum(folder / name) != value]
    except _DAMAGE as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return f"the checksum of {wrong[0]} is another" if wrong else None


def _step_of(folder: Path) -> int:
    return int(json.loads(read_text(folder / "step.json"))["step"])


def _checksum(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unusable(folder: Path, reason: str) -> UserError:
    return UserError(
        f"cannot resume from {folder}: {reason.splitlines()[0]}; train into another folder, or delete this one"
    )
