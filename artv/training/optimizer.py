"""AdamW (Table 4), or AdamW with moments of 8 bits, and their state as named tensors."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from artv.errors import UserError
from artv.training.config import LoopConfig

BETAS = (0.9, 0.999)


def make_optimizer(parameters: list[nn.Parameter], config: LoopConfig, device: torch.device) -> torch.optim.Optimizer:
    """The one that the settings ask for. On a GPU plain AdamW can be captured, its rate being a tensor there.

    Raises:
        UserError: 8 bits without bitsandbytes, or on a CPU.
    """
    if config.optimizer == "adamw8bit":
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


def _adamw_8bit(parameters: list[nn.Parameter], config: LoopConfig, device: torch.device) -> torch.optim.Optimizer:
    if device.type != "cuda":
        raise UserError("optimizer adamw8bit is for GPUs; use adamw")
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise UserError("optimizer adamw8bit needs bitsandbytes: pip install bitsandbytes, or use adamw") from None

    class OnTheDefaultStream(AdamW8bit):
        """Its kernels run there whatever stream is current: without waiting they would meet half a gradient.

        The loop of its own waits for the GPU after every tensor. Two thousand are launched faster than that; more than
        half are of one axis and few numbers, whose moments have 32 bits: these are updated at once, by PyTorch.
        """

        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            default, current = torch.cuda.default_stream(device), torch.cuda.current_stream(device)
            default.wait_stream(current)
            with torch.cuda.stream(default):
                if self.initialized and closure is None:
                    loss = None
                    self._update()
                else:
                    loss = super().step(closure)
            current.wait_stream(default)
            return loss

        def _update(self) -> None:
            for number, group in enumerate(self.param_groups):
                few = []
                for place, parameter in enumerate(group["params"]):
                    if parameter.grad is None:
                        continue
                    if parameter.ndim == 1 and self.state[parameter]["state1"].dtype == torch.float32:
                        few.append(parameter)
                    else:
                        self.update_step(group, parameter, number, place)
                _update_at_once(few, [self.state[parameter] for parameter in few], group)

    return OnTheDefaultStream(parameters, lr=config.lr, betas=BETAS, weight_decay=config.weight_decay)


def _update_at_once(parameters: list[nn.Parameter], states: list[dict[str, Any]], group: Mapping[str, Any]) -> None:
    """AdamW of tensors that are all as old, with moments named as bitsandbytes does."""
    if not parameters:
        return
    steps = torch.full((len(parameters),), float(states[0]["step"]), device=parameters[0].device)
    adamw(
        [parameter.data for parameter in parameters],
        [parameter.grad for parameter in parameters if parameter.grad is not None],
        [state["state1"] for state in states],
        [state["state2"] for state in states],
        [],
        list(steps.unbind()),
        fused=steps.is_cuda,
        amsgrad=False,
        maximize=False,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
    )
    for state in states:
        state["step"] += 1


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
