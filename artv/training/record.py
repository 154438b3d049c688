"""What a stage tells while it trains: a line of progress and a row of ``log.jsonl`` every two seconds."""

import json
import math
import time
from collections.abc import Callable
from typing import Any, TextIO

import torch
from torch import Tensor

from artv.training import processes

_EVERY = 2.0  # seconds
_LONGEST = 500  # steps


class Record:
    """Sums losses on the device, so that a step waits for nothing, and now and then asks for their mean.

    Attributes:
        loss: mean of the steps that were told last; NaN before.

    Args:
        name: of the stage.
        samples: of a step, over all processes.
        tell: called with the step and a note for the progress bar.
    """

    def __init__(
        self, name: str, samples: int, device: torch.device, log: TextIO, tell: Callable[[int, str], None]
    ) -> None:
        self.loss = math.nan
        self._name, self._samples, self._log, self._tell = name, samples, log, tell
        self._sum = torch.zeros((), device=device)
        self._steps, self._since = 0, time.monotonic()

    def add(self, loss: Tensor) -> None:
        """One more step's loss."""
        self._sum += loss
        self._steps += 1

    @property
    def due(self) -> bool:
        """Whether it is time to tell."""
        return time.monotonic() - self._since > _EVERY or self._steps >= _LONGEST

    def write(self, step: int, **values: Any) -> None:
        """Tells the mean since the last time, and other ``values``; every process calls it."""
        self.loss = processes.mean(self._sum.item() / self._steps)
        rate = self._steps * self._samples / (time.monotonic() - self._since)
        self._sum.zero_()
        self._steps, self._since = 0, time.monotonic()
        row: dict[str, Any] = {"step": step, "loss": self.loss, "samples_per_s": round(rate, 1), **values}
        note = f"loss {self.loss:.4f} · {rate:,.0f} samples/s"
        if self._sum.is_cuda:
            row["memory_gib"] = round(torch.cuda.max_memory_allocated(self._sum.device) / 2**30, 2)
            note += f" · {row['memory_gib']:.0f} GiB"
        self.row(**row)
        self._tell(step, note)

    def row(self, **values: Any) -> None:
        """A row of its own in the log."""
        self._log.write(json.dumps({"stage": self._name, **values}) + "\n")
        self._log.flush()
