"""What a stage tells while it trains: a line of progress and a row of ``log.jsonl`` every two seconds."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from artv.training import processes
from artv.training.estimate import card_rate
from artv.training.rows import RowFile
from artv.training.trackers import Trackers

_EVERY = 2.0  # seconds
_LONGEST = 500  # steps


class _Marked(NamedTuple):
    step: int
    steps: int
    at: float
    copied: torch.cuda.Event | None
    values: dict[str, Any]


class Record:
    """Sums losses on the device, so that a step waits for nothing, and now and then asks for their mean.

    What is asked for by :meth:`mark` is told by :meth:`tell`, when the next step is under way: the GPU has work while
    Python waits for the sum, writes it and prepares the step after that.

    Attributes:
        loss: mean of the steps that were told last; NaN before.

    Args:
        name: of the stage.
        samples: of a step, over all processes.
        tell: called with the step and a note for the progress bar.
        trackers: what the numbers also go to.
        total: steps of the stage, for the time left.
        flops: of a sample, where they are known: tells the share of the GPU's measured matrix rate.
    """

    def __init__(
        self,
        name: str,
        samples: int,
        device: torch.device,
        log: RowFile,
        tell: Callable[[int, str], None],
        trackers: Trackers | None = None,
        *,
        total: int | None = None,
        flops: float | None = None,
    ) -> None:
        self.loss = math.nan
        self._name, self._samples, self._log, self._tell = name, samples, log, tell
        self._trackers, self._total = trackers, total
        # of one sample a second on all GPUs together
        self._share = flops / card_rate(device) / processes.world() if flops and device.type == "cuda" else None
        self._sum = torch.zeros((), device=device)
        self._host = torch.zeros((), pin_memory=self._sum.is_cuda)
        self._marked: _Marked | None = None
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
        """Tells the mean since the last time, and other ``values``, at once; every process calls it."""
        self.mark(step, **values)
        self.tell()

    def mark(self, step: int, **values: Any) -> None:
        """The mean since the last time, and other ``values``, are what :meth:`tell` is to tell."""
        self._host.copy_(self._sum, non_blocking=True)
        copied = torch.cuda.Event() if self._sum.is_cuda else None
        if copied is not None:
            copied.record()
        self._sum.zero_()
        self._marked, self._steps = _Marked(step, self._steps, time.monotonic(), copied, values), 0

    def tell(self) -> bool:
        """Tells what was marked, if anything was; every process calls it."""
        if self._marked is None:
            return False
        (step, steps, ended, copied, values), self._marked = self._marked, None
        if copied is not None:
            copied.synchronize()
            ended = time.monotonic()  # on a CPU they had ended when they were marked: by now there is one more
        self.loss = processes.mean(self._host.item() / steps)
        samples = steps * self._samples
        rate = samples / (ended - self._since)
        self._since = ended
        row: dict[str, Any] = {"step": step, "loss": self.loss, "samples": samples, "samples_per_s": round(rate, 1)}
        row |= values
        note = f"loss {self.loss:.4f} · {rate:,.0f} samples/s"
        if self._sum.is_cuda:
            row["memory_gib"] = round(torch.cuda.max_memory_allocated(self._sum.device) / 2**30, 2)
            note += f" · {row['memory_gib']:.0f} GiB"
        if self._share is not None:
            row["share_of_card"] = round(rate * self._share, 3)
            note += f" · {row['share_of_card']:.0%} of the card's rate"
        if self._total is not None and step < self._total:
            note += f" · {spoken((self._total - step) * self._samples / rate)} left"
        self.row(**row)
        self._tell(step, note)
        return True

    def row(self, **values: Any) -> None:
        """A row of its own in the log."""
        self._log.write({"stage": self._name, **values})
        if self._trackers is not None and "step" in values:
            self._trackers.log(values["step"], _numbers({k: v for k, v in values.items() if k != "step"}))

    def picture(self, step: int, title: str, picture_HW3: np.ndarray) -> None:
        """A uint8 picture, for the trackers."""
        if self._trackers is not None:
            self._trackers.picture(step, title, picture_HW3)


def spoken(seconds: float) -> str:
    """A time in minutes, hours or days."""
    minutes = seconds / 60
    return (
        f"{minutes:.0f} min"
        if minutes < 100
        else f"{minutes / 60:.1f} h"
        if minutes < 6000
        else f"{minutes / 1440:.1f} days"
    )


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[prefix + key] = value
    return found
