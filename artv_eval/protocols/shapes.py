"""The shapes worlds as a source: clips are rendered when they are asked for, and only the last few are kept.

Shape suffixes: T frames, H W pixels.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from artv.errors import UserError
from artv_eval.api import ClipRequest, ClipSet, GeneratedClip
from artv_eval.protocols.drawn import drawn_request
from artv_eval.protocols.sources import Lazy, blank, request_seed

FRAMES, KEPT = 1024, 8  # frames rendered at once, and how many such chunks are kept

NUMBERS = {"shapes": 1, "shapes-long": 2}
"""A card's ``dataset`` → number of the world."""


def _at_once(frames: int) -> int:
    return max(1, FRAMES // frames)


class ShapesSource:
    """A synthetic world: prompts are clips 0, 1, … of a split, references those from ``reference.first`` on."""

    def __init__(self, card: Any, dataset: str):
        self.card, self.number = card, NUMBERS[dataset]
        if card.prompts.dataset in NUMBERS and card.prompts.text != "caption":
            raise UserError(f"protocol {card.name}: prompts.text is {card.prompts.text!r}; shapes has captions only")
        if card.frames.height != card.frames.width:
            raise UserError(
                f"protocol {card.name}: frames are {card.frames.height} x {card.frames.width}; shapes draws squares, "
                "so give the same height and width"
            )
        if card.prompts.split == card.reference.split and card.reference.first < card.prompts.number:
            raise UserError(
                f"protocol {card.name}: reference clips from {card.reference.first} on overlap with the "
                f"{card.prompts.number} prompts of the same split; set reference.first to at least that number"
            )
        self._chunk = lru_cache(maxsize=KEPT)(self._render)
        self._captions = lru_cache(maxsize=KEPT)(self._write)

    def world(self, split: str, frames: int) -> Any:
        """The card's world."""
        from artv.data.shapes_long import WORLDS

        want = self.card.frames
        fps = (want.fps or 8.0) / want.stride
        return WORLDS[self.number](split, seed=0, num_frames=frames, size=want.height, fps=fps)

    def _render(self, split: str, frames: int, chunk: int) -> Any:
        few = _at_once(frames)
        return self.world(split, frames).batch(range(chunk * few, (chunk + 1) * few))

    def _write(self, split: str, frames: int, chunk: int) -> list[str]:
        few = _at_once(frames)
        return self.world(split, frames).captions(range(chunk * few, (chunk + 1) * few))

    def _clip(self, split: str, frames: int, index: int) -> tuple[Any, int]:
        few = _at_once(frames)
        return self._chunk(split, frames, index // few), index % few

    def requests(self, number: int, frames: int, seed: int) -> Sequence[ClipRequest]:
        """Caption, first frame, ground truth and labels of the first test clips."""
        if number > self.card.reference.first and self.card.prompts.split == self.card.reference.split:
            raise UserError(
                f"{number} videos: protocol {self.card.name} has {self.card.reference.first} prompts before its "
                "reference clips begin; ask for fewer with --num-videos"
            )
        return Lazy(number, lambda i: self._request(i, frames, seed))

    def _request(self, index: int, frames: int, seed: int) -> ClipRequest:
        want, split = self.card.frames, self.card.prompts.split
        few = _at_once(frames)
        return drawn_request(
            lambda: self._drawn(index, frames),
            index=index,
            prompt=self._captions(split, frames, index // few)[index % few],
            seed=request_seed(seed, index),
            num_frames=frames,
            height=want.height,
            width=want.width,
            fps=(want.fps or 8.0) / want.stride,
        )

    def _drawn(self, index: int, frames: int) -> dict[str, Any]:
        """What of a request has to be drawn."""
        from artv.data.shapes import LABELS
        from artv.data.shapes_truth import ShapesTruth

        batch, row = self._clip(self.card.prompts.split, frames, index)
        real = batch.frames[row].permute(0, 2, 3, 1).contiguous().numpy()
        labels = {  # what is in the clip, and all that is known of every frame
            "colour": batch.colour[row].numpy(),
            "shape": batch.shape[row].numpy(),
            "motion_label": batch.motion_label[row].numpy(),
            "motion": batch.motion[row].numpy(),
            "truth": ShapesTruth(self.world(self.card.prompts.split, frames), index),
            **{name: bool(getattr(batch, name)[row]) for name in LABELS},
        }
        return {"first_frame": real[0] if self.card.first_frame else None, "real": real, "labels": labels}

    def reference(self, frames: int) -> ClipSet:
        """Real clips that are no request's ground truth."""
        card = self.card
        if card.reference.number is None:
            raise UserError(f"protocol {card.name}: the shapes world has no end; give reference.number")

        def load(i: int) -> GeneratedClip:
            batch, row = self._clip(card.reference.split, frames, card.reference.first + i)
            return GeneratedClip(batch.frames[row].permute(0, 2, 3, 1).contiguous().numpy())

        requests = Lazy(card.reference.number, blank(card, frames))
        return ClipSet(requests, load, origin=(card.hash, frames))

    def files(self, frames: int) -> None:
        """None: clips are rendered."""
        return None

    def digest(self) -> None:
        """The card alone fixes the clips."""
        return None
