"""AdamW (Table 4), or AdamW with moments of 8 bits, and their state as named tensors."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from artv.errors import UserError
from artv.training.config import LoopConfig

BETAS = (0.9, 0.999)


def make_optimizer(parameters: list[nn.Parameter], config: LoopConfig, device: torch.device) -> torch.optim.Optimizer:
    """The one that the settings ask for. On a GPU plain AdamW can be captured, its rate being a tensor there.

    Raises:
        UserError: 8 bits without bitsandbytes, or on a CPU.
    """
    if config.optimizer == "adamw8bit":
        check_optimizer(config, device)
        return _adamw_8bit(parameters, config, device)
    cuda = device.type == "cuda"
    return torch.optim.AdamW(
        parameters,
        lr=torch.tensor(config.lr, device=device) if cuda else config.lr,
        betas=BETAS,
        weight_decay=config.weight_decay,
        capturable=cuda,
        fused=cuda,
    )


def check_optimizer(config: LoopConfig, device: torch.device) -> None:
    """Raises :class:`UserError` for 8 bits without bitsandbytes, or on a CPU."""
    if config.optimizer != "adamw8bit":
        return
    if device.type != "cuda":
        raise UserError("optimizer adamw8bit is for GPUs; use adamw")
    if find_spec("bitsandbytes") is None:
        raise UserError("optimizer adamw8bit needs bitsandbytes: pip install bitsandbytes, or use adamw")


def _adamw_8bit(parameters: list[nn.Parameter], config: LoopConfig, device: torch.device) -> torch.optim.Optimizer:
    from bitsandbytes.optim import AdamW8bit

    class OnTheDefaultStream(AdamW8bit):
        """Its kernels run there whatever stream is current: without waiting they would meet half a gradient."""

        def step(self, closure: Any = None) -> Any:
            default, current = torch.cuda.default_stream(device), torch.cuda.current_stream(device)
            default.wait_stream(current)
            with torch.cuda.stream(default):
                loss = super().step(closure)
            current.wait_stream(default)
            return loss

    return OnTheDefaultStream(parameters, lr=config.lr, betas=BETAS, weight_decay=config.weight_decay)


def flat_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of every parameter as tensors named "NUMBER.KEY"; numbers become tensors of 64-bit integers."""
    return _flat(optimizer.state_dict()["state"], "")


def nested_state(flat: Mapping[str, Tensor]) -> dict[int, dict[str, Any]]:
    """What :func:`flat_state` made flat, for ``load_state_dict``."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in flat.items():
        number, *outer, key = name.split(".")
        place = state.setdefault(int(number), {})
        for each in outer:
            place = place.setdefault(each, {})
        place[key] = value.item() if value.dtype == torch.int64 else value
    return state


def _flat(state: Mapping[Any, Any], prefix: str) -> dict[str, Tensor]:
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            result |= _flat(value, f"{name}.")
        else:
            result[name] = value if isinstance(value, Tensor) else torch.tensor(int(value))
    return result
