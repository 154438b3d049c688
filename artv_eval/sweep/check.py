"""One thing that a verification looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at; ``why``: what is different, and what it may come from."""

    what: str
    same: bool
    why: str = ""
