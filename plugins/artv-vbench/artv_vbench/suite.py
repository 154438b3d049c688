"""VBench's list of prompts: for which dimensions each prompt is, and what to look for in its clips.

The list is the one that comes with the user's VBench (or a file of it); no text of it is here. It counts as VBench's
only with the digest below.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv_eval import digest_of

KNOWN = "7b86de3b6fb0"
"""Digest of the list of vbench 0.1.5, as :func:`list_digest` gives it."""


@dataclass(frozen=True)
class Entry:
    """What the list says of a prompt: ``dimensions`` and, of some of them, what to look for."""

    dimensions: tuple[str, ...]
    auxiliary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """The list: prompt → entry. A prompt that stands there twice has the dimensions of both places."""

    entries: Mapping[str, Entry]
    digest: str

    @classmethod
    def read(cls, path: Path, digest: str | None = None) -> "Suite":
        """Reads ``VBench_full_info.json``.

        Args:
            digest: that it must have; None: VBench's own.

        Raises:
            UserError: it is no such list, or another one.
        """
        try:
            items = json.loads(path.read_text(encoding="utf-8"))
            found: dict[str, Entry] = {}
            for item in items:
                prompt = " ".join(item["prompt_en"].split())
                before = found.get(prompt, Entry(()))
                auxiliary = {**before.auxiliary, **item.get("auxiliary_info", {})}
                found[prompt] = Entry((*before.dimensions, *item["dimension"]), auxiliary)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is no list of VBench ({type(error).__name__}: {error}); give its "
                            "VBench_full_info.json") from None  # fmt: skip
        its = list_digest(items)
        if its != (digest or KNOWN):
            raise UserError(
                f"{path} has digest {its} and VBench's list {digest or KNOWN}: scores by another are not VBench's; "
                "take that of vbench 0.1.5, or say with list_digest that this one is meant"
            )
        return cls(found, its)

    def number(self, prompt: str) -> int:
        """Which of its prompts it is; -1 of one that it does not have."""
        return self._numbers.get(" ".join(prompt.split()), -1)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {prompt: number for number, prompt in enumerate(self.entries)}

    def of(self, prompt: str) -> Entry:
        """What the list says of a prompt; nothing of one that it does not have."""
        return self.entries.get(" ".join(prompt.split()), Entry(()))


def list_digest(items: Any) -> str:
    """12 hex digits of the list's content, however it is laid out."""
    return digest_of([json.dumps(items, sort_keys=True)])[:12]
