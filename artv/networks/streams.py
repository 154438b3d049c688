"""A second CUDA stream for work that waits more than it computes, beside the work that keeps the GPU busy."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class SideStream:
    """Runs a block beside the current stream where that is possible; elsewhere the block simply runs.

    Attributes:
        on: whether to do so at all.
    """

    def __init__(self, on: bool = False) -> None:
        self.on = on
        self._stream: torch.cuda.Stream | None = None

    @contextmanager
    def beside(self, device: torch.device, *inputs: Tensor) -> Iterator[None]:
        """The block sees everything queued so far; what it makes must pass through :meth:`join`.

        ``inputs``: tensors that it reads and that may be freed before it has run.
        """
        if not (self.on and device.type == "cuda"):
            yield
            return
        if self._stream is None:
            self._stream = torch.cuda.Stream(device)
        self._stream.wait_stream(torch.cuda.current_stream(device))
        for tensor in inputs:
            tensor.record_stream(self._stream)
        with torch.cuda.stream(self._stream):
            yield

    def join(self, *results: Tensor) -> None:
        """Makes the current stream wait for the blocks so far, and keeps ``results`` alive for it."""
        if self._stream is None or not self.on:
            return
        for result in results:
            current = torch.cuda.current_stream(result.device)
            current.wait_stream(self._stream)
            result.record_stream(current)
