"""How a method is run: as written, with the treatment that every method gets, or as Table 2 probably was taken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from artv.errors import UserError, closest
from artv.networks.fast.graphs import CapturedGraph
from artv_eval.efficiency.cuda import Peak, peak_memory

SETTINGS = {
    "eager": "as written: fused attention, no compilation",
    "tuned": "channels-last, torch.compile and one CUDA graph, the same for every method",
    "paper": "as Table 2 most plausibly was taken: float32 weights under float16 autocast, attention as each had it",
}

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def check_setting(setting: str, dtype: str | None) -> str:
    """The dtype to compute in (``bf16`` unless asked otherwise; ``paper`` is always ``fp16``, by autocast)."""
    if setting not in SETTINGS:
        raise UserError(f"setting is {setting!r}; {closest(setting, SETTINGS)}")
    if dtype is not None and dtype not in DTYPES:
        raise UserError(f"dtype is {dtype!r}; {closest(dtype, DTYPES)}")
    if setting == "paper" and dtype not in (None, "fp16"):
        raise UserError(f"dtype is {dtype!r}, but setting paper is float16 autocast, as Table 2; leave --dtype out")
    return dtype or ("fp16" if setting == "paper" else "bf16")


def weights_of(setting: str, dtype: str) -> torch.dtype:
    """The dtype of the weights: autocast makes its own copies of float32 ones."""
    return torch.float32 if setting == "paper" else DTYPES[dtype]


def prepare(module: nn.Module, setting: str, attention: str = "efficient") -> nn.Module:
    """Changes the module in place as the setting asks: memory layout, or how attention is computed; never what."""
    # autocast keeps its float16 copies of weights that have gradients only, and makes others anew at every use
    module.requires_grad_(setting == "paper")
    if setting == "paper" and attention == "written":
        write_attention_out(module)
    if setting == "tuned":
        for parameter in module.parameters():
            if parameter.ndim == 4:  # a video UNet's temporal weights have no such layout
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def write_attention_out(module: nn.Module) -> None:
    """Gives diffusers' attention the form it had in 0.15 and 0.16, the first releases with a video UNet.

    Its matrix then takes 10 bytes a score under float16 autocast (6 from 0.17 on, which frees each step's result).
    """
    for part in module.modules():
        if isinstance(part, Attention):
            part.set_processor(AttnProcessor())
            part.get_attention_scores = partial(_scores, part)


def _scores(attention: Attention, query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax of the scores, (B·heads, queries, keys), every step of it alive until the last: 2 + 2 + 4 + 2 bytes."""
    start = query.new_empty(query.shape[0], query.shape[1], key.shape[1]) if mask is None else mask
    scores = torch.baddbmm(start, query, key.mT, beta=0 if mask is None else 1, alpha=attention.scale)
    weights = scores.softmax(dim=-1)  # float32 under autocast
    return weights.to(query.dtype)


@contextmanager
def running(setting: str, attention: str = "efficient") -> Iterator[None]:
    """No gradients; for ``paper`` autocast, whose copies of the weights live as long, and no newer attention."""
    if setting != "paper":
        with torch.no_grad():
            yield
        return
    older = [SDPBackend.MATH] if attention == "written" else [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with torch.no_grad(), torch.autocast("cuda", torch.float16), sdpa_kernel(older):
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
    graphs: list[CapturedGraph] = []
    # a replay allocates nothing, so the memory that it needs shows only while it is captured
    peak = peak_memory(lambda: graphs.append(CapturedGraph(lambda: compiled(*inputs), warm_up=0)))
    return Run(graphs[0].replay, lambda: peak)
