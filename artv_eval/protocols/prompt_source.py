"""The user's own prompts as a source: every prompt so many times as the card has seeds, and no real clips."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError
from artv.images import load_image
from artv_eval.api import ClipRequest, ClipSet
from artv_eval.features.base import digest_of
from artv_eval.protocols.prompt_files import Prompt, read_prompts
from artv_eval.protocols.sources import Lazy, request_seed


class PromptSource:
    """Prompts of a file; clip ``i`` is of prompt ``i // seeds`` and has a random seed of its own."""

    def __init__(self, card: Any, path: str | None):
        self.card, self.path = card, None if path is None else Path(path)

    @cached_property
    def prompts(self) -> list[Prompt]:
        """Read once. Raises UserError when no file is given, or it is none."""
        if self.path is None:
            raise UserError(
                f"protocol {self.card.name} takes prompts from a file of yours; give it with --set "
                "protocol.prompts=FILE (.txt: a line each, .csv or .jsonl: prompt)"
            )
        return read_prompts(self.path)

    def __len__(self) -> int:
        """Clips that there can be."""
        return len(self.prompts) * self.card.prompts.seeds

    def requests(self, number: int, frames: int, seed: int) -> Sequence[ClipRequest]:
        """The first ``number`` clips."""
        seeds, want = self.card.prompts.seeds, self.card.frames
        if number > len(self):
            raise UserError(
                f"{number} videos: {self.path} has {len(self.prompts)} prompts of {seeds} seeds each; ask for at most "
                f"{len(self)} with --num-videos"
            )
        return Lazy(
            number,
            lambda i: ClipRequest(
                index=i,
                prompt=self.prompts[i // seeds].text,
                seed=request_seed(seed, i),
                num_frames=frames,
                height=want.height,
                width=want.width,
                fps=(want.fps or 8.0) / want.stride,
                first_frame=self._first_frame(self.prompts[i // seeds]) if self.card.first_frame else None,
            ),
        )

    def _first_frame(self, prompt: Prompt) -> np.ndarray:
        if prompt.image is None:
            raise UserError(
                f"protocol {self.card.name} begins with a picture and {self.path} has none for {prompt.text[:60]!r}; "
                "give a column image, or a card with first_frame: false"
            )
        return load_image(prompt.image, self.card.frames.height, self.card.frames.width)

    def reference(self, frames: int) -> ClipSet:
        """There is none."""
        raise UserError(f"protocol {self.card.name} has no real clips: its prompts are a file's")

    def files(self, frames: int) -> None:
        """There are none."""
        return None

    def digest(self) -> str | None:
        """Digest of the prompts, and of the pictures that clips begin with; None while no file is given."""
        if self.path is None:
            return None
        pictures = [prompt.image for prompt in self.prompts if prompt.image] if self.card.first_frame else []
        return digest_of([*(prompt.text for prompt in self.prompts), *(file.read_bytes() for file in pictures)])[:12]
