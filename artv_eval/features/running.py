"""Networks of convolutions on clips whose frames come a few at a time: what they make of the whole clip, exactly.

    maps = torch.cat(list(through(stages, parts, frames)), 2)       # as of all frames at once, but never all there

A stage sees a few frames on either side of each, so it works on those whose neighbours are there and keeps the last of
them for the next: nothing is computed of the same frames twice but at these seams.

Shape suffixes: B clips, C channels, T frames of a clip, t frames at a time, H W pixels.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

WHOLE = 64  # frames of a clip that goes through as one
PART, GPU_PART = 16, 48
"""Frames of a longer one that go through together: each takes a network of 224² pixels 7 MB.

So few on a GPU too that of 100 frames one part has neighbours on both sides, as nearly all of a longer clip's have.
"""


def part_on(device: object) -> int:
    """Frames that go through together there."""
    return GPU_PART if str(device).startswith("cuda") else PART


@dataclass(frozen=True)
class Parts:
    """A clip of ``frames`` frames as an extractor sees it, a few of them at a time: floats (1, t, …), in order, once.

    An extractor that says ``in_parts`` takes it in place of the clip.
    """

    frames: int
    parts: Iterable[Tensor]

    @property
    def shape(self) -> tuple[int, int]:
        """(1, T)."""
        return 1, self.frames


@dataclass(frozen=True)
class Stage:
    """(B, C, T, H, W) → (B, C', ⌈T / stride⌉, H', W'), with zeros around a clip, or TensorFlow's ``SAME``.

    Args:
        work: the layers.
        stride: in time.
        around: frames of what it takes that it sees at most on either side; a multiple of ``stride``.
    """

    work: Callable[[Tensor], Tensor]
    stride: int = 1
    around: int = 0


def through(stages: Iterable[Stage], parts: Iterable[Tensor], frames: int) -> Iterator[Tensor]:
    """What the last of the stages gives of a clip of so many frames, (B, C, t, H, W) at a time."""
    for stage in stages:
        parts = _along(stage, parts, frames)
        frames = -(-frames // stage.stride)
    return iter(parts)


def _along(stage: Stage, parts: Iterable[Tensor], frames: int) -> Iterator[Tensor]:
    """One stage. It is given what begins at a multiple of the stride and has the whole's remainder: it pads alike."""
    stride, around, odd = stage.stride, stage.around, frames % stage.stride
    held, begin, seen, done = torch.empty(0), 0, 0, 0  # frames from ``begin`` to ``seen`` are held, and so many done
    for part in parts:
        held = torch.cat([held, part], 2) if seen > begin else part
        seen += part.shape[2]
        del part
        whole = seen == frames
        end = seen if whole else (seen - around - odd) // stride * stride + around + odd
        ready = -(-frames // stride) if whole else (end - around - odd) // stride
        if ready > done:
            skipped = done - begin // stride
            made = [stage.work(held[:, :, : end - begin])[:, :, skipped : skipped + ready - done]]
            done, kept = ready, max(0, ready * stride - around)
            held, begin = held[:, :, kept - begin :].clone(), kept
            yield made.pop()  # and hold it no longer, nor what it was made of, while the next stages work
