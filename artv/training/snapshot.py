"""A copy of a training's tensors in host memory, which a thread can write to disk while training goes on.

On a GPU the copies lie in page-locked memory, reserved once: 20 GB arrive there in less than a second.
"""

from collections.abc import Generator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from artv.training.ema import Ema
from artv.training.optimizer import flat_state

_CHUNK = 2**30  # bytes; page-locked memory comes in powers of two


class State(NamedTuple):
    """Tensors by name, all in host memory. ``groups``: the optimiser's settings."""

    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    moments: dict[str, Tensor]
    groups: list[dict[str, Any]]


class Snapshot:
    """Takes states of one training, always into the same memory."""

    def __init__(self, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer) -> None:
        self._model, self._ema, self._optimizer = model, ema, optimizer
        self._host: dict[tuple[str, str], Tensor] = {}

    def reserve(self) -> None:
        """Makes room for what there is now; after the first step that is everything."""
        self._host = _room_for(self._tensors())

    def take(self) -> State:
        """The state as it is now; it holds until the next one is taken."""
        tensors = self._tensors()
        if tensors.keys() != self._host.keys():
            self.reserve()
        for key, tensor in tensors.items():
            self._host[key].copy_(tensor, non_blocking=True)
        if torch.cuda.is_available():
            torch.cuda.current_stream().synchronize()
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in ("model", "ema", "moments")}
        for (part, name), copied in self._host.items():
            parts[part][name] = copied
        groups = [{k: _plain(v) for k, v in g.items()} for g in self._optimizer.state_dict()["param_groups"]]
        return State(**parts, groups=groups)

    def _tensors(self) -> dict[tuple[str, str], Tensor]:
        result = {("model", name): value for name, value in self._model.state_dict().items()}
        result |= {("ema", name): value for name, value in self._ema.model.state_dict().items()}
        return result | {("moments", name): value for name, value in flat_state(self._optimizer).items()}


def _room_for(tensors: dict[tuple[str, str], Tensor]) -> dict[tuple[str, str], Tensor]:
    if not any(tensor.is_cuda for tensor in tensors.values()):
        return {name: torch.empty(tensor.shape, dtype=tensor.dtype) for name, tensor in tensors.items()}
    places = _places(max(_CHUNK, *(tensor.nbytes for tensor in tensors.values())))
    next(places)
    return {name: places.send(t.nbytes).view(t.dtype).view(t.shape) for name, t in tensors.items()}


def _places(size: int) -> Generator[Tensor, int, None]:
    """Sent a number of bytes, gives so many of page-locked memory, from chunks of ``size``."""
    chunk = place = torch.empty(0, dtype=torch.uint8)
    used = 0
    while True:
        wanted = yield place
        if used + wanted > len(chunk):
            chunk, used = _page_locked(size), 0
        place = chunk[used : used + wanted]
        used += -(-wanted // 64) * 64


def _page_locked(size: int) -> Tensor:
    try:
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)
    except RuntimeError:  # there may be a limit on it; other memory takes some seconds instead of one
        return torch.empty(size, dtype=torch.uint8)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value
