"""What every source of a protocol's prompts and real clips has: the interface, lazy sequences, blank requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from artv_eval.api import ClipRequest, ClipSet

if TYPE_CHECKING:
    from artv_eval.files.decoding import Excerpt

T = TypeVar("T")


class Lazy(Sequence[T]):
    """A sequence whose items are made when they are asked for. ``whole``: it is no part of another."""

    def __init__(self, length: int, make: Callable[[int], T], *, whole: bool = True):
        self._length, self._make, self.whole = length, make, whole

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            chosen = range(self._length)[index]
            return Lazy(len(chosen), lambda i: self._make(chosen[i]), whole=False)
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self._make(index % self._length)


class Source(Protocol):
    """Prompts and real clips of one card."""

    def requests(self, number: int, frames: int, seed: int) -> Sequence[ClipRequest]: ...

    def reference(self, frames: int) -> ClipSet: ...

    def files(self, frames: int) -> tuple[list[Path], Excerpt] | None:
        """The files of the real clips and which frames of them; None where clips are not files."""

    def digest(self) -> str | None:
        """Digest of the list of files, or None where the card alone fixes the clips."""


def request_seed(seed: int, index: int) -> int:
    """Seed of one clip's random stream."""
    return seed * 1_000_003 + index


def blank(card: Any, frames: int) -> Callable[[int], ClipRequest]:
    """Requests of reference clips: nobody generates them, so they hold no prompt and no pictures."""
    want = card.frames
    fps = float(want.fps or 0)
    return lambda i: ClipRequest(
        index=i,
        prompt="",
        seed=0,
        num_frames=frames,
        height=want.height,
        width=want.width,
        fps=fps,
    )
