"""Captions of video files: a folder's table, its webdataset tars, or a known data set's own.

Needs no torch, so commands check it at once.
"""

import json
import os.path
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from artv.data.listing import Video, words_of
from artv.data.msrvtt import read_msrvtt
from artv.data.tables import COLUMNS, READERS, columns_of, csv_rows, unused
from artv.data.tars import TarMember, tar_clips
from artv.data.ucf101 import read_ucf101
from artv.errors import UserError, counted
from artv.files import ends_of

CAPTIONS = "captions.csv"
TABLES = (CAPTIONS, "captions.jsonl", "captions.parquet")
"""Names of a folder's table; the first that is there counts."""


@dataclass(frozen=True)
class CaptionedFile:
    """A video file and its caption."""

    path: Path
    caption: str
    name: str = ""

    @property
    def shown(self) -> str:
        """What errors call it."""
        return str(self.path)

    @property
    def size(self) -> int:
        """In bytes."""
        return self.path.stat().st_size

    def ends(self) -> bytes:
        """A digest of how the file begins and ends."""
        return ends_of(self.path)

    @contextmanager
    def file(self) -> Iterator[Path]:
        """The file to read."""
        yield self.path


@dataclass(frozen=True)
class Captions:
    """The lines of the table ``source``: (file as it is written there, caption); a caption may be blank."""

    lines: Sequence[tuple[str, str]]
    source: Path

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """file → caption. Raises UserError if one file has two."""
        texts: dict[str, str] = {}
        for file, caption in self.lines:
            if texts.setdefault(os.path.normpath(file), caption) != caption:
                raise UserError(f"captions file {self.source} gives {file} two captions; keep one line for each file")
        return texts

    def of(self, files: Sequence[Path], folder: Path) -> dict[Path, str]:
        """file → caption, of the ``files`` in ``folder`` that have one; a blank caption is none.

        Paths in the table are relative to itself or to the folder; a bare name counts where only one file and one line
        have it.
        """
        bases = (self.source.parent, folder)
        placed = {_normal(base / name): text for base in bases for name, text in self.texts.items()}
        names = Counter(Path(name).name for name in self.texts)
        by_name = {name: text for path, text in self.texts.items() if names[name := Path(path).name] == 1}
        several = Counter(file.name for file in files)
        found = {}
        for file in files:
            fallback = by_name.get(file.name, "") if several[file.name] == 1 else ""
            found[file] = placed.get(_normal(file), fallback)
        return {file: text for file, text in found.items() if text.strip()}

    def unused(self) -> str | None:
        """In one line the columns that nothing reads though they say how a clip is to be read or made; None: none."""
        others = unused(columns_of(self.source), COLUMNS)
        if not others:
            return None
        return (
            f"{self.source}: {counted(len(others), 'column')} not used ({', '.join(others)}): of each line file and "
            "caption are read, and of each file what the command says"
        )

    def check(self, files: Sequence[Path], folder: Path) -> None:
        """Raises UserError unless each of the ``files`` has a caption."""
        having = self.of(files, folder)
        lacking = [file for file in files if file not in having]
        if lacking:
            raise UserError(
                f"{len(lacking)} of {len(files)} files in {folder} have no caption in {self.source}, for example "
                f"{lacking[0].relative_to(folder)}; give each a line file,caption, or leave metrics of captions out"
            )


def read_captions(source: str | Path) -> Captions:
    """A table with the columns ``file`` and ``caption``, or the one in a folder (``TABLES``).

    Raises:
        UserError: there is none, it cannot be read, is not UTF-8, lacks a column, a line or the name of a file, or
            has a line that is no row of it.
    """
    source = Path(source)
    table = (_table(source) or source / CAPTIONS) if source.is_dir() else source
    if not table.is_file():
        raise UserError(f"captions file {table} does not exist; it must hold lines file,caption with that header")
    try:
        lines = list(READERS.get(table.suffix.lower(), csv_rows)(table))
    except OSError as error:
        raise UserError(f"captions file {table} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"captions file {table} is no text in UTF-8 ({error}); save it in UTF-8") from None
    if not lines:
        raise UserError(f"captions file {table} is empty; it needs a line (file,caption) for each clip")
    return Captions(lines, table)


def captioned_clips(folder: str | Path) -> Sequence[CaptionedFile | TarMember]:
    """The clips of a folder: those of its table; else those in its webdataset tars; else UCF-101's (its training list,
    captioned by the words of the class) or MSR-VTT's (its training split, each with its first caption).

    Raises:
        UserError: as above, or where a file does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f"data folder {folder} does not exist; write one with: artv data shapes --out {folder} --num 256"
        )
    if _table(folder) is None and (others := tar_clips(folder) or _known_set(folder)):
        return others
    captions = read_captions(folder)
    clips = [CaptionedFile(folder / file, caption, file) for file, caption in captions.lines]
    for clip in clips:
        if not clip.path.is_file():
            raise UserError(f"{captions.source} names {clip.path.name}, which is no file in {folder}")
    return clips


def unused_columns(folder: str | Path) -> str | None:
    """What of the table of a folder of clips is not used, as :meth:`Captions.unused` says it."""
    table = _table(Path(folder))
    return None if table is None else read_captions(table).unused()


def listing_digest(clips: Sequence[CaptionedFile | TarMember]) -> str:
    """16 hex digits of their names, sizes and captions, in their order."""
    lines = [[clip.name, clip.size, clip.caption] for clip in clips]
    return sha256(json.dumps(lines, separators=(",", ":")).encode()).hexdigest()[:16]


def _table(folder: Path) -> Path | None:
    return next((folder / name for name in TABLES if (folder / name).is_file()), None)


def _known_set(folder: Path) -> list[CaptionedFile]:
    if any(any(place.glob("*/v_*")) for place in (folder / "UCF-101", folder / "videos", folder)):
        splits = read_ucf101(folder)
    elif any(folder.rglob("video[0-9]*.mp4")):
        splits = read_msrvtt(folder)
    else:
        return []
    videos = splits.get("train") or splits["all"]
    return [CaptionedFile(video.path, _said(video), str(video.path.relative_to(folder))) for video in videos]


def _said(video: Video) -> str:
    return video.captions[0] if video.captions else words_of(video.label).lower()


def _normal(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 a link is not followed: two to one file may have two captions
