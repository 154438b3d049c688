"""Prompts of public suites, no text of which is here: what of a user's copy is checked, and what is said of the rest.

Of each list it is known how many prompts it has, and the digest of some of them: all must be in the copy. Where the
digest of a whole list is known, it is said whether the copy is that list.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from artv.errors import UserError
from artv.files import read_bytes
from artv_eval.features.base import digest_of
from artv_eval.protocols.card import Card
from artv_eval.protocols.prompt_files import Prompt


def mark(text: str) -> str:
    """12 hex digits of SHA-256 of a prompt, without what releases of a list differ in: case, and how it ends."""
    return hashlib.sha256(text.casefold().rstrip(" .").encode()).hexdigest()[:12]


def check(card: Card, path: Path, prompts: Sequence[Prompt]) -> None:
    """Raises UserError where these are not the prompts of the list as published."""
    want, remedy = card.prompts, "take that list, or a card without prompts.exact and known"
    if want.exact and len(prompts) != want.number:
        raise UserError(
            f"{path} has {len(prompts)} prompts and the list of protocol {card.name} as published {want.number}: "
            f"{remedy}"
        )
    for name, number in Counter(prompt.list for prompt in prompts).items():
        if card.known.each not in (None, number):
            raise UserError(
                f"{path / name} has {number} prompts and each list of protocol {card.name} as published "
                f"{card.known.each}: {remedy}"
            )
    if lost := set(card.known.prompts) - {mark(prompt.text) for prompt in prompts}:
        raise UserError(
            f"{path} is not the list of protocol {card.name} as published: of {len(card.known.prompts)} of its prompts "
            f"that are looked for {len(lost)} are not there; {remedy}"
        )


def said(card: Card, path: Path, prompts: Sequence[Prompt]) -> str | None:
    """What could be told of a copy of a list, in one line; None where the card is of no published list."""
    if not card.prompts.exact:
        return None
    digest = digest_of([prompt.text for prompt in prompts])[:12]
    name = card.known.digests.get(digest)
    whose = f"that of {name}" if name else "not known to this version"
    line = f"prompts: digest {digest} of {path} is {whose}; {len(prompts)} prompts (published: {card.prompts.number})"
    if card.known.prompts and not name:
        line += f", among them all {len(card.known.prompts)} that are looked for"
    return line + (f"; {_bytes_of(path)}" if path.is_file() else "")


def _bytes_of(path: Path) -> str:
    """Digests that others publish of a file: SHA-256, and git's name of it."""
    data = read_bytes(path)
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    return f"sha256 of the file is {hashlib.sha256(data).hexdigest()}, its git blob {blob}"
