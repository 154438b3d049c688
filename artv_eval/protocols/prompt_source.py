"""The user's own prompts as a source, with their first frames and their other wording; there are no real clips."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from artv.errors import UserError, counted
from artv.files import read_bytes
from artv.images import load_image
from artv_eval.api import ClipRequest, ClipSet
from artv_eval.features.base import digest_of
from artv_eval.protocols.card import Card
from artv_eval.protocols.known_lists import check, said
from artv_eval.protocols.prompt_files import Prompt, order_doubt, read_prompts
from artv_eval.protocols.sources import Lazy, request_seed


class PromptSource:
    """Prompts of a file or folder, and what methods are given in their place, if that is another ``wording``."""

    def __init__(self, card: Card, path: str | None, wording: str | None = None):
        self.card, self.path, self.wording = card, None if path is None else Path(path), wording

    @cached_property
    def prompts(self) -> list[Prompt]:
        """Read once. Raises UserError when no file is given, or it is none."""
        if self.path is None:
            raise UserError(
                f"protocol {self.card.name} takes prompts from a file of yours; give it with --set "
                "protocol.prompts=FILE (.txt: a line each, .csv or .jsonl: prompt)"
            )
        found = read_prompts(self.path, self.wording, lists=self.card.prompts.dataset == "lists")
        check(self.card, self.path, found)
        return found

    def __len__(self) -> int:
        return len(self.prompts)

    def check(self, number: int, seeds: int) -> None:
        """Raises UserError for more clips than there can be with so many seeds of a prompt."""
        if seeds > 1 and self.prompts[0].seed is not None:
            raise UserError(
                f"{self.path} gives each prompt its seed, and {seeds} seeds of each are asked for; take its column "
                "seed out, or leave --seeds-per-prompt out"
            )
        if number > len(self) * seeds:
            raise UserError(
                f"{number} videos: {self.path} has {len(self)} prompts of {seeds} seeds each; ask for at most "
                f"{len(self) * seeds} with --num-videos"
            )

    def requests(self, number: int, frames: int, seed: int) -> Sequence[ClipRequest]:
        """The first ``number`` prompts; a prompt's own seed stands in the place of its number."""
        want = self.card.frames

        def request(i: int) -> ClipRequest:
            prompt = self.prompts[i]
            return ClipRequest(
                index=i,
                prompt=prompt.wording or prompt.text,
                original=prompt.text if prompt.wording else None,
                seed=request_seed(seed, i if prompt.seed is None else prompt.seed),
                num_frames=frames,
                height=want.height,
                width=want.width,
                fps=(want.fps or 8.0) / want.stride,
                first_frame=self._first_frame(prompt) if self.card.first_frame else None,
            )

        return Lazy(number, request)

    def _first_frame(self, prompt: Prompt) -> np.ndarray:
        if prompt.image is None:
            raise UserError(
                f"protocol {self.card.name} begins with a picture and {self.path} has none for {prompt.text[:60]!r}; "
                "give a column image (in a folder: a picture of its name), or a card with first_frame: false"
            )
        return load_image(prompt.image, self.card.frames.height, self.card.frames.width)

    def reference(self, frames: int) -> ClipSet:
        """There is none."""
        raise UserError(f"protocol {self.card.name} has no real clips: its prompts are a file's")

    def files(self, frames: int) -> None:
        """There are none."""
        return None

    def digest(self) -> str | None:
        """Digest of the prompts, their seeds, and the pictures that clips begin with; None while no file is given."""
        if self.path is None:
            return None
        pictures = [prompt.image for prompt in self.prompts if prompt.image] if self.card.first_frame else []
        wordings = [prompt.wording for prompt in self.prompts if prompt.wording]
        seeds = [f"seed\n{prompt.seed}" for prompt in self.prompts if prompt.seed is not None]
        texts = [*(prompt.text for prompt in self.prompts), *wordings, *seeds]
        return digest_of([*texts, *(read_bytes(file) for file in pictures)])[:12]

    def said(self) -> str | None:
        """Whether this is the list as published, in its wordings' order, and what of it is not used; None: no word.

        As far as can be told.
        """
        if self.path is None:
            return None
        found = (said(self.card, self.path, self.prompts), order_doubt(self.prompts), *self._not_used(), self._alike())
        return "; ".join(filter(None, found)) or None

    def _not_used(self) -> Iterator[str]:
        names = list(dict.fromkeys(name for prompt in self.prompts for name in prompt.unused))
        if names:
            yield (
                f"{self.path}: {counted(len(names), 'column')} not used ({', '.join(names)}): the card says length, "
                "size and rate, and all else is the method's (--set METHOD.SETTING=VALUE)"
            )
        if not self.card.first_frame and (pictures := sum(prompt.image is not None for prompt in self.prompts)):
            yield (
                f"{self.path}: {counted(pictures, 'picture')} not used: with protocol {self.card.name} methods begin "
                "from the text alone; a card with first_frame: true begins with them"
            )

    def _alike(self) -> str | None:
        """That clips are taken for independent which are not: by their prompts, or by noise that they share."""
        texts, seeds = ([prompt.text for prompt in self.prompts], [prompt.seed for prompt in self.prompts])
        if (again := len(texts) - len(set(texts))) and not self.card.prompts.exact:
            return (
                f"{self.path}: {counted(again, 'prompt')} stood there before: intervals and tests take each line for "
                "another prompt; for several clips of one give it once, without a seed, and --seeds-per-prompt"
            )
        if seeds[0] is not None and len(set(seeds)) < len(seeds):
            return (
                f"{self.path}: {len(seeds)} prompts have {counted(len(set(seeds)), 'seed')}: clips of one seed begin "
                "from the same noise, and intervals and tests take them for independent"
            )
        return None
