"""One walk over a long clip for all that is measured of its frames on one device.

    rows = walk({"exposure": measure, …}, request, clip.frames, "cuda")             # name → (d,), or why there is none

Frames are read once, a few at a time, and copied to the device once; what is measured there stays there until the clip
ends, so nobody waits between. Each walk has a stream of its own: one clip is copied while another is measured.

Shape suffixes: T frames of a clip, t frames at a time, H W pixels, C colour channels, d numbers a row.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artv.errors import WorkFailed
from artv_eval.api import ClipRequest
from artv_eval.metrics.views import check_bytes, frames_at_once
from artv_eval.results.clips import part_length

VALUES = 1 << 25  # in the frames at once: few large kernels in place of many small ones
AHEAD = 2  # views of a clip that are on their way to a GPU, each in memory that it reads by itself
LUMA = (299, 587, 114)  # of red, green and blue (BT.601), in thousandths


@dataclass(frozen=True, kw_only=True)
class DeviceView:
    """Some frames of a clip on a device: uint8 (t, C, H, W), the first of which is frame ``start``.

    ``host``: the same, not there yet. ``opening``: frame 0, (C, H, W); ``before``: the frame before ``start``, which
    of frame 0 is frame 0.
    """

    host: Tensor
    frames: Tensor
    start: int
    opening: Tensor
    before: Tensor

    @cached_property
    def previous(self) -> Tensor:
        """(t, C, H, W): the frame before each."""
        return torch.cat([self.before[None], self.frames[:-1]])

    @cached_property
    def from_opening(self) -> Tensor:
        """(t, C, H, W) uint8: |frame − frame 0|."""
        return apart(self.frames, self.opening)

    @cached_property
    def from_previous(self) -> Tensor:
        """(t, C, H, W) uint8: |frame − frame before|."""
        return apart(self.frames, self.previous)

    @cached_property
    def luma(self) -> Tensor:
        """(t, H, W) float32: luma in thousandths of a grey level, which are whole numbers below 2²⁴, so exact."""
        red, green, blue = self.frames.unbind(1)
        return (red.float() * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def apart(x: Tensor, y: Tensor) -> Tensor:
    """|x − y| of bytes, as bytes."""
    return torch.maximum(x, y) - torch.minimum(x, y)


@dataclass(frozen=True, kw_only=True)
class FrameMeasure:
    """What a metric measures of each frame on a device, and the row that it makes of it.

    Args:
        key: measures of one key measure the same, which is done once.
        measure: a few frames, in order → (t, …) on their device.
        row: of all frames of the clip, (T, …) on the device → (d,).
    """

    key: str
    measure: Callable[[DeviceView], Tensor]
    row: Callable[[ClipRequest, Tensor], np.ndarray]


def walk(
    measures: Mapping[str, FrameMeasure], request: ClipRequest, frames_THWC: Any, device: str | torch.device
) -> dict[str, np.ndarray | Exception]:
    """The row of each measure by its name; one that fails costs the others nothing.

    Raises:
        UserError: the frames are no bytes. OSError, WorkFailed: they cannot be read.
    """
    wanted = {each.key: each.measure for each in measures.values()}
    found: dict[str, list[Tensor]] = {key: [] for key in wanted}
    failed: dict[str, Exception] = {}
    with _own_stream(torch.device(device)), torch.inference_mode():
        for view in device_views(frames_THWC, torch.device(device)):
            for key in wanted.keys() - failed.keys():
                some = _tried(wanted[key], view)
                if isinstance(some, Exception):
                    failed[key] = some
                else:
                    found[key].append(some)
        return {
            name: failed[each.key] if each.key in failed else _tried(each.row, request, torch.cat(found[each.key]))
            for name, each in measures.items()
        }


def _tried(work: Callable[..., Any], *given: Any) -> Any:
    """What it gives, or its error; those of reading files are raised."""
    try:
        return work(*given)
    except (WorkFailed, OSError):
        raise
    except Exception as error:
        return error


def device_views(frames_THWC: Any, device: torch.device, values: int | None = None) -> Iterator[DeviceView]:
    """A few frames of a clip at a time. ``frames``: anything with slices and a shape."""
    size, each = frames_at_once(frames_THWC.shape, values or VALUES), part_length(frames_THWC.shape)
    size = size // each * each or size  # parts are then read whole
    opening = before = None
    on_their_way: deque[torch.cuda.Event] = deque()
    for start in range(0, len(frames_THWC), size):
        if len(on_their_way) == AHEAD:  # else memory grows with the frames that the device has not come to
            on_their_way.popleft().synchronize()
        shape = (min(size, len(frames_THWC) - start), *frames_THWC.shape[1:])
        host = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
        for done in range(0, len(host), each):
            part = np.asarray(frames_THWC[start + done : start + min(done + each, len(host))])
            host[done : done + each].numpy()[:] = check_bytes(part)
        host = host.permute(0, 3, 1, 2)
        frames = host.to(device, non_blocking=True).contiguous()
        if opening is None or before is None:
            opening = before = frames[0].clone()
        yield DeviceView(host=host, frames=frames, start=start, opening=opening, before=before)
        before = frames[-1].clone()  # the others may go
        if device.type == "cuda":
            on_their_way.append(torch.cuda.Event(blocking=True))
            on_their_way[-1].record(torch.cuda.current_stream(device))


_IDLE: defaultdict[str, list[Any]] = defaultdict(list)
"""Streams of each GPU that nobody works on: no more are made than clips go along at a time, for each keeps memory."""


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """A stream of a GPU for the calling thread alone."""
    if device.type != "cuda":
        yield
        return
    idle = _IDLE[str(device)]
    try:
        stream = idle.pop()
    except IndexError:
        stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.default_stream(device))  # networks were put there by it
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        idle.append(stream)
