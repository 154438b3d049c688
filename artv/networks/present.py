"""Where in a batch a condition can be present: what belongs to the other samples need not be computed.

Shape suffixes: B batch, N some of its samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


@dataclass(frozen=True)
class Rows:
    """Samples ``start`` to ``stop`` − 1 of a batch, at least one."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"rows {self.start} to {self.stop}: they must be at least one")

    def __len__(self) -> int:
        return self.stop - self.start

    def of(self, x_B: Tensor) -> Tensor:
        """Theirs of a batch: (N, …)."""
        return x_B[self.start : self.stop]

    def among(self, outer: "Rows") -> "Rows":
        """Those that lie in ``outer``, counted from its first."""
        return Rows(max(self.start, outer.start) - outer.start, min(self.stop, outer.stop) - outer.start)

    def work(self, on: Callable[[Tensor], Tensor], x_B: Tensor) -> Tensor:
        """The batch after ``on`` has worked on these samples, the others as they are: one copy of it each way."""
        if len(self) == len(x_B):
            return on(x_B)
        inside_N, rest_B = _Part.apply(x_B, self)
        return _Join.apply(rest_B, on(inside_N), self)

    def padded(self, x_N: Tensor, batch: int) -> Tensor:
        """A batch with zeros for the other samples."""
        after = batch - self.stop
        return torch.cat([x_N.new_zeros(self.start, *x_N.shape[1:]), x_N, x_N.new_zeros(after, *x_N.shape[1:])])

    def replaced(self, x_B: Tensor, by_N: Tensor) -> Tensor:
        """A copy of the batch with ``by_N`` in their places, in the batch's layout in memory."""
        result = torch.empty_like(x_B)
        for rows in (slice(0, self.start), slice(self.stop, len(x_B))):
            result[rows] = x_B[rows]
        self.of(result).copy_(by_N)
        return result


class _Part(Function):
    """Some samples, and all of them, of which these are not looked at again."""

    @staticmethod
    def forward(ctx: Any, x_B: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        ctx.rows = rows
        return rows.of(x_B.detach()), x_B.detach()

    @staticmethod
    def backward(ctx: Any, inside_N: Tensor, rest_B: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return ctx.rows.replaced(rest_B, inside_N), None


class _Join(Function):
    """The way back."""

    @staticmethod
    def forward(ctx: Any, rest_B: Tensor, inside_N: Tensor, rows: Rows) -> Tensor:
        ctx.rows = rows
        return rows.replaced(rest_B, inside_N)

    @staticmethod
    def backward(ctx: Any, grad_B: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        return grad_B, ctx.rows.of(grad_B), None


@dataclass(frozen=True)
class Present:
    """Samples outside ``refs`` have no references (and so no mask), those outside ``anchor`` no anchor: their ``keep``
    is 0.
    """

    refs: Rows
    anchor: Rows
