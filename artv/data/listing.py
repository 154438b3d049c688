"""Data sets of video files as people have them: videos by split, with what is said of each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".mov", ".webm")


@dataclass(frozen=True, kw_only=True)
class Video:
    """A real video: its file, its class or "" and its captions."""

    path: Path
    label: str = ""
    captions: tuple[str, ...] = ()


Listing = Mapping[str, Sequence[Video]]
"""split → its videos, in a fixed order; ``all`` has those of every split."""


def by_number(path: Path) -> tuple[list[int | str], str]:
    """The key of an order of names in which numbers are numbers.

    >>> [path.name for path in sorted([Path("clip10.mp4"), Path("clip2.mp4")], key=by_number)]
    ['clip2.mp4', 'clip10.mp4']
    """
    parts = re.split(r"(\d+)", path.name)  # a text and a number by turns
    return [int(part) if k % 2 else part for k, part in enumerate(parts)], path.name


def words_of(class_name: str) -> str:
    """A class name as words.

    >>> words_of("ApplyEyeMakeup")
    'Apply Eye Makeup'
    """
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[a-z]+|\d+", class_name))
