"""The threads that describe clips: beside decoding, and beside each other where a GPU does part of the work.

On a GPU two batches are described at a time, so that one is put together beside another. Of long clips a few are at
a time. On a GPU those metrics that can walk along a clip together, reading it once, and the others beside them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from artv_eval.api import Evaluator
from artv_eval.metrics.base import device_of, extractor_of, walked_on

METRICS, LONG = 8, 4  # of a long clip side by side, and long clips


def on_gpu(evaluators: Iterable[Evaluator]) -> bool:
    """Whether any of them describes clips there."""
    return any(device_of(evaluator).startswith("cuda") for evaluator in evaluators)


@cache
def describing(on_gpu: bool, long: bool = False) -> tuple[ThreadPoolExecutor, int]:
    """The threads that describe batches, and how many: of ``long`` clips no more than torch may take cores.

    They stay: what cuDNN has prepared for a network (seconds, for I3D) is known to the thread that asked for it.
    """
    threads = min(LONG, torch.get_num_threads()) if long else 2 if on_gpu else 1
    return ThreadPoolExecutor(threads, thread_name_prefix="describing"), threads


@cache
def side_by_side() -> Callable[..., Iterable[Any]]:
    """A ``map`` whose calls are threads, which stay too."""
    return ThreadPoolExecutor(METRICS, thread_name_prefix="metric").map


@contextmanager
def shared_cores(threads: int) -> Iterator[None]:
    """So many threads, if they begin meanwhile, take so few of torch's own that all of them find a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def by_work(evaluators: Iterable[Evaluator], long: bool = False) -> list[tuple[str | None, Sequence[Evaluator]]]:
    """Those that share work together, and the GPU on which they walk along a ``long`` clip, if they do.

    Those of one extractor share what it sees when they come one after the other.
    """
    together: dict[tuple[str | None, str], list[Evaluator]] = {}
    for evaluator in evaluators:
        gpu = walked_on(evaluator) if long else None
        what = gpu or str(getattr(extractor_of(evaluator), "digest", evaluator.digest))
        together.setdefault((gpu, what), []).append(evaluator)
    return [(gpu, some) for (gpu, _), some in together.items()]
