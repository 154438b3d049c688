"""AdamW and the average of the weights in one pass over memory, and with it the weights' bfloat16 where gradients are.

Apart they read and write 52 bytes for a weight, together 36. For a step that is captured as a CUDA graph: what is
updated stays where it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_BLOCK = 2048  # values of a program


class FusedUpdate:
    """Does what ``optimizer.step()`` and ``Ema.update`` do, to the same tensors and but for rounding.

    Attributes:
        weight: of the current weights in the average; to be set ahead of each step.

    Args:
        optimizer: AdamW that has done a step, with a tensor for its rate.
        averages: of each parameter.
        halves: parameters in bfloat16 that collect the gradients of some parameters, and are kept up to date.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        averages: Mapping[nn.Parameter, nn.Parameter],
        halves: Mapping[nn.Parameter, nn.Parameter],
    ) -> None:
        (self._group,) = optimizer.param_groups
        parameters = [p for p in self._group["params"] if p in optimizer.state]
        self._states = [optimizer.state[p] for p in parameters]
        device = self._states[0]["step"].device
        self.weight = torch.zeros((), device=device)
        self._factors = torch.zeros(4, device=device)
        ours = [p for p in parameters if p in halves], [p for p in parameters if p not in halves]
        self._parts = [
            _Part([(p, halves.get(p), optimizer.state[p], averages[p]) for p in some], half)
            for some, half in zip(ours, (True, False), strict=True)
            if some
        ]
        self._launch()  # compiles it: tables say that there is nothing yet

    def __call__(self) -> None:
        """One step. What it reads of tables is written by :meth:`point`, before it runs but after it is captured."""
        torch._foreach_add_([state["step"] for state in self._states], 1)
        beta1, beta2 = self._group["betas"]
        step, lr = self._states[0]["step"].double(), self._group["lr"]
        left = 1 - lr * self._group["weight_decay"]
        factors = lr / (1 - beta1**step), (1 - beta2**step).sqrt(), left.double(), self.weight.double()
        self._factors.copy_(torch.stack(factors))
        self._launch()

    def _launch(self) -> None:
        from artv.training.fast.triton_update import update_kernel

        beta1, beta2 = self._group["betas"]
        numbers = beta1, 1 - beta1, beta2, 1 - beta2, self._group["eps"]
        for part in self._parts:
            update_kernel[(len(part.tensor),)](
                *(part.tensor, part.part, part.table, self._factors, *numbers),
                **{"HALF": part.half, "BLOCK": _BLOCK},
            )

    def point(self) -> None:
        """Notes where gradients are."""
        for part in self._parts:
            part.point()


class _Part:
    """Tensors that one launch goes through, in parts of ``_BLOCK`` values."""

    def __init__(
        self, rows: Sequence[tuple[nn.Parameter, nn.Parameter | None, Mapping[str, Any], Tensor]], half: bool
    ) -> None:
        self._rows, self.half = rows, half
        parts = [-(-p.numel() // _BLOCK) for p, *_ in rows]
        device = rows[0][0].device
        tensors = torch.arange(len(rows), dtype=torch.int32).repeat_interleave(torch.tensor(parts))
        self.tensor = tensors.to(device)
        self.part = torch.cat([torch.arange(n, dtype=torch.int32) for n in parts]).to(device)
        self.table = torch.zeros(len(rows), 7, dtype=torch.int64, device=device)

    def point(self) -> None:
        self.table.copy_(torch.tensor(list(self._pointers())))

    def _pointers(self) -> Iterator[tuple[int, ...]]:
        for parameter, half, state, average in self._rows:
            gradient = parameter.grad if half is None else half.grad
            if gradient is None:
                raise RuntimeError("a weight has no gradient")
            others = (state["exp_avg"], state["exp_avg_sq"], average, *(() if half is None else (half,)))
            if any(_layout(x) != _layout(parameter) for x in (gradient, *others)):
                raise RuntimeError("a weight, its gradient and its moments do not lie alike")
            places = [x.data_ptr() for x in (parameter, gradient, *others)]
            if any(place % 16 for place in (places[0], *places[2:])):
                raise RuntimeError("a weight or its moments begin at an odd place")
            yield parameter.numel(), *places, *(() if half is not None else (0,))


def _layout(x: Tensor) -> list[tuple[int, int]]:
    return [(size, stride) for size, stride in zip(x.shape, x.stride(), strict=True) if size > 1]
