"""Keeping long clips as their frames come: nobody holds one as a whole.

Shape legend: B clips, t frames, H W pixels, h w mask cells.
"""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from artv.errors import UserError
from artv_eval.api import ClipRequest, NextFrames
from artv_eval.results.store import RunStore


def store_streams(
    store: RunStore, cell: str, requests: Sequence[ClipRequest], made: Iterator[NextFrames], *, timed: bool
) -> tuple[int, Exception | None]:
    """Stores the clips of a batch: how many, those counted that were said to fail, and what the method did wrong.

    After an error no clip of the batch is kept, for none is whole. A full disk is an OSError that is raised.
    """
    writers = {b: store.clip_writer(cell, request.index, _shape(request)) for b, request in enumerate(requests)}
    failed: dict[int, str] = {}
    seconds = 0.0
    try:
        while writers:
            started = time.perf_counter()
            try:
                some = next(made, None)
                if some is not None:
                    _check(some, requests)
            except Exception as error:
                return 0, error
            seconds += time.perf_counter() - started
            if some is None:
                break
            for b, why in some.failed.items():
                failed.setdefault(b, why)
                if b in writers:
                    writers.pop(b).drop()
            for b, writer in writers.items():
                writer.add(some.frames[b], None if some.mask is None else some.mask[b])
        for b in list(writers):
            writers.pop(b).finish(seconds / len(requests) if timed else None)
    except ValueError as error:  # too few frames, too many, or of another size
        return 0, UserError(f"the method's stream is not the clip that was asked for: {error}")
    finally:
        for writer in writers.values():
            writer.drop()
    for b, why in failed.items():
        store.save_failure(cell, requests[b].index, why)
    return len(requests), None


def _shape(request: ClipRequest) -> tuple[int, int, int, int]:
    return request.num_frames, request.height, request.width, 3


def _check(some: NextFrames, requests: Sequence[ClipRequest]) -> None:
    """Raises ValueError, in words for the method's author."""
    frames, mask = some.frames, some.mask
    if not isinstance(frames, np.ndarray) or frames.ndim != 5 or len(frames) != len(requests):
        what = f"{frames.dtype} {frames.shape}" if isinstance(frames, np.ndarray) else type(frames).__name__
        raise ValueError(f"the method streamed {what} for {len(requests)} clips; it must be uint8 (B, t, H, W, 3)")
    if mask is not None and (mask.ndim != 4 or len(mask) != len(requests) or not np.isfinite(mask).all()):
        raise ValueError(f"the method streamed masks {mask.shape}; they must be finite (B, t, h, w)")
