"""A function of fixed tensors as a CUDA graph: launched as one instead of operation by operation."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

_T = TypeVar("_T")
_WARM_UP = 3  # calls before the capture, in which libraries choose algorithms and allocate their workspaces


class CapturedGraph(Generic[_T]):
    """Records ``call()`` once and replays it.

    The function reads its inputs from tensors that stay where they are; write new values into them before a replay.
    Its results are overwritten by the next replay.

    Args:
        call: what is recorded.
        warm_up: calls before that; 0 where whoever asks has made them, or where a call counts, as a training step does.
        stream: to record on; None: one of its own.
    """

    def __init__(
        self, call: Callable[[], _T], *, warm_up: int = _WARM_UP, stream: torch.cuda.Stream | None = None
    ) -> None:
        # ahead of the side stream's kernels, which then fill the gaps
        stream = stream or torch.cuda.Stream(priority=-1)
        if warm_up:
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(warm_up):
                    call()
            torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # other threads, such as a progress bar's or a writer's, may go on meanwhile
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            self._result = call()

    def replay(self) -> _T:
        """Runs it again on what the inputs hold now, without waiting for it to end."""
        self._graph.replay()
        return self._result
