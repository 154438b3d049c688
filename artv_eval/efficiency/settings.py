"""How a method is run: as written, with the treatment that every method gets, or as Table 2 must have been taken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from artv.errors import UserError, closest
from artv_eval.efficiency.cuda import Peak, peak_memory

SETTINGS = {
    "eager": "as written: fused attention, no compilation",
    "tuned": "channels-last, torch.compile and one CUDA graph, the same for every method",
    "paper": "float32, attention that materialises its matrix",
}

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def check_setting(setting: str, dtype: str | None) -> str:
    """The dtype to use (``bf16`` unless asked otherwise; ``paper`` is always ``fp32``)."""
    if setting not in SETTINGS:
        raise UserError(f"setting is {setting!r}; {closest(setting, SETTINGS)}")
    if dtype is not None and dtype not in DTYPES:
        raise UserError(f"dtype is {dtype!r}; {closest(dtype, DTYPES)}")
    if setting == "paper" and dtype not in (None, "fp32"):
        raise UserError(f"dtype is {dtype!r}, but setting paper is Table 2's float32; leave --dtype out")
    return dtype or ("fp32" if setting == "paper" else "bf16")


def prepare(module: nn.Module, setting: str) -> nn.Module:
    """Changes the module in place as the setting asks: memory layout only."""
    if setting == "tuned":
        for parameter in module.parameters():
            if parameter.ndim == 4:  # a video UNet's temporal weights have no such layout
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


@contextmanager
def attention_of(setting: str) -> Iterator[None]:
    """``paper``: the attention matrix is written out, as before fused attention."""
    with sdpa_kernel(SDPBackend.MATH) if setting == "paper" else nullcontext():
        yield


@dataclass(frozen=True)
class Run:
    """A call with fixed inputs, and how to learn its peak memory."""

    call: Callable[[], Any]
    peak: Callable[[], Peak]


def runner(module: nn.Module, inputs: tuple[Any, ...], setting: str) -> Run:
    """A call of ``module`` with fixed inputs; for ``tuned`` compiled and captured in a CUDA graph."""

    def call() -> Any:
        return module(*inputs)

    return _captured(module, inputs) if setting == "tuned" else Run(call, lambda: peak_memory(call))


def _captured(module: nn.Module, inputs: tuple[Any, ...]) -> Run:
    torch._dynamo.reset()
    compiled = torch.compile(module, dynamic=False)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # compiles, and lets libraries allocate their workspaces before the capture
            compiled(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    outputs: list[Any] = []

    def capture() -> None:
        with torch.cuda.graph(graph):
            outputs.append(compiled(*inputs))

    # a replay allocates nothing, so the memory that it needs shows only while it is captured
    peak = peak_memory(capture)
    return Run(graph.replay, lambda: peak)
