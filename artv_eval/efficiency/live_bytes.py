"""Bytes that a forward pass holds at its peak, without weights, device or time: tensors that have a size only.

    peak = peak_bytes(case.build, lambda module: case.inputs(module, 320, 16, 1), attention="written")

Counts storages while they live, as an allocator without rounding would: on a GPU comes what its library reserves and
cannot use.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from artv_eval.efficiency.settings import write_attention_out


def peak_bytes(
    build: Callable[[], nn.Module], inputs: Callable[[nn.Module], tuple[Any, ...]], *, attention: str
) -> int:
    """One forward under float16 autocast of float32 weights, the copies that autocast makes of them included.

    ``attention``: as of :class:`artv_eval.efficiency.cases.AsPublished`.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        with torch.device("cuda"):
            module = build().eval().requires_grad_(True)  # autocast keeps its copies of such weights only
        if attention == "written":
            write_attention_out(module)
        given = inputs(module)
        live = Live([*module.parameters(), *module.buffers(), *tree_leaves(given)])
        with live, _autocast(), _NoMatrix() if attention == "efficient" else nullcontext():
            module(*given)
    return live.peak


class Live(TorchDispatchMode):
    """Adds up the storages that operations make, until they are freed; ``leaves`` are there before."""

    def __init__(self, leaves: list[Any]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()
        self._note(leaves)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._note(tree_leaves(result))
        return result

    def _note(self, leaves: list[Any]) -> None:
        for storage in (leaf.untyped_storage() for leaf in leaves if isinstance(leaf, Tensor)):
            key, size = storage._cdata, storage.nbytes()
            if key not in self._known:
                self._known.add(key)
                self.now += size
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


class _NoMatrix(TorchFunctionMode):
    """Attention that holds nothing but its result, as memory-efficient kernels do (they also keep 4 bytes a query)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            query, _, value = args[:3]
            return query.new_empty((*query.shape[:-1], value.shape[-1]), dtype=torch.float16)
        return func(*args, **(kwargs or {}))


@contextmanager
def _autocast() -> Iterator[None]:
    """``torch.autocast("cuda", torch.float16)``, which switches itself off on a machine without a GPU."""
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", torch.float16)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])
