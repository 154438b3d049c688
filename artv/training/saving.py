"""Checkpoints written by a thread: training waits only until its tensors are copied to host memory."""

import copy
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from artv.errors import WorkFailed
from artv.training import processes
from artv.training.checkpoint import gather_random, write_state
from artv.training.ema import Ema
from artv.training.snapshot import Snapshot, State

OnSave = Callable[[nn.Module, int], None]


class Saver:
    """Saves states of one training to ``folder``; every process calls it, the main one writes.

    Args:
        on_save: called with the averaged model, in host memory, and the step before each state is written, in the
            thread that writes it: a training that goes on from a state has handed on all that was before it. After it,
            where the training stops: whoever asked may not wait for both.
    """

    def __init__(
        self, folder: Path, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, on_save: OnSave | None
    ) -> None:
        self._folder, self._on_save = folder, on_save
        self._snapshot = Snapshot(model, ema, optimizer)
        self._averaged = _without_values(ema.model) if on_save is not None and processes.is_main() else None
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._written: Future[None] | None = None

    def reserve(self) -> None:
        """Host memory for later; called after the first step."""
        if processes.is_main():
            self._written = self._thread.submit(self._snapshot.reserve)

    @property
    def busy(self) -> bool:
        """Whether the last state is still being written."""
        return self._written is not None and not self._written.done()

    def save(self, step: int, *, stopping: bool = False) -> None:
        """Copies the state and leaves the writing to the thread, once that has written the one before.

        A state that could not be written is told, and training goes on: the states of before are kept.
        """
        random = gather_random()
        if processes.is_main():
            self.tell(wait=True)
            self._written = self._thread.submit(self._write, self._snapshot.take(), random, step, stopping)

    def tell(self, *, wait: bool = False) -> None:
        """Says so, once, if the last state could not be written. ``wait``: for its end; else only if that came."""
        if self._written is None or (self.busy and not wait):
            return
        written, self._written = self._written, None
        try:
            written.result()
        except WorkFailed as error:
            print(f"artv: {error}; training goes on", file=sys.stderr)

    def finish(self) -> None:
        """Waits for the last state. Raises :class:`WorkFailed` if it could not be written."""
        if self._written is not None:
            self._written.result()

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, *error: object) -> None:
        """What is being written is written to its end, whatever ended the training."""
        self._thread.shutdown()

    def _write(self, state: State, random: list[dict[str, Tensor]], step: int, stopping: bool) -> None:
        keep, hand_on = partial(write_state, self._folder, state, random, step), partial(self._hand_on, state, step)
        first, then = (keep, hand_on) if stopping else (hand_on, keep)
        try:
            first()
        finally:
            then()

    def _hand_on(self, state: State, step: int) -> None:
        if self._averaged is not None and self._on_save is not None:
            self._averaged.load_state_dict(state.ema, assign=True)
            self._on_save(self._averaged, step)


def _without_values(model: nn.Module) -> nn.Module:
    """A copy of a model that holds no memory until it is given values."""
    empty = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False) for p in model.parameters()}
    return copy.deepcopy(model, empty)
