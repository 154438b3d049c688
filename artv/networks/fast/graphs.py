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
    """

    def __init__(self, call: Callable[[], _T]) -> None:
        # ahead of the side stream's kernels, which then fill the gaps
        stream = torch.cuda.Stream(priority=-1)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
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
