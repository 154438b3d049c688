"""Captions of video files: a table of lines ``file,caption``. Needs no torch, so commands check it at once."""

import csv
import os.path
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TextIO

from artv.errors import UserError

CAPTIONS = "captions.csv"
COLUMNS = ("file", "caption")


@dataclass(frozen=True)
class CaptionedFile:
    """A video file and its caption."""

    path: Path
    caption: str


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
    """A table that begins with ``file,caption``, or the ``captions.csv`` of a folder.

    Raises:
        UserError: there is none, it cannot be read, is not UTF-8, lacks a column, a line or the name of a file, or
            has a line that is no row of it.
    """
    source = Path(source)
    table = source / CAPTIONS if source.is_dir() else source
    if not table.is_file():
        raise UserError(f"captions file {table} does not exist; it must hold lines file,caption with that header")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:  # with or without a byte-order mark
            lines = list(_rows(file, table))
    except OSError as error:
        raise UserError(f"captions file {table} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"captions file {table} is no text in UTF-8 ({error}); save it as CSV in UTF-8") from None
    if not lines:
        raise UserError(f"captions file {table} is empty; it needs a line (file,caption) for each clip")
    return Captions(lines, table)


def captioned_clips(folder: str | Path) -> list[CaptionedFile]:
    """The clip of every line of a folder's ``captions.csv``. Raises UserError as above, or where one does not exist."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f"data folder {folder} does not exist; write one with: artv data shapes --out {folder} --num 256"
        )
    captions = read_captions(folder)
    clips = [CaptionedFile(folder / file, caption) for file, caption in captions.lines]
    for clip in clips:
        if not clip.path.is_file():
            raise UserError(f"{captions.source} names {clip.path.name}, which is no file in {folder}")
    return clips


def _rows(file: TextIO, table: Path) -> Iterator[tuple[str, str]]:
    """(file, caption) of each row after the header. What CSV would read in another way than it is meant is refused."""
    reader = csv.reader(file, strict=True, skipinitialspace=True)
    columns = _next(reader, table) or []
    if any(columns.count(name) != 1 for name in COLUMNS):
        begins = ",".join(columns)[:80]
        raise UserError(f"captions file {table} must begin with the line 'file,caption'; it begins with {begins!r}")
    at = [columns.index(name) for name in COLUMNS]
    begin = reader.line_num + 1
    while (row := _next(reader, table)) is not None:
        where = f"captions file {table}, line {begin},"
        if row and len(row) != len(columns):
            raise UserError(
                f"{where} has {len(row)} values for the {len(columns)} columns {','.join(columns)}; a caption with a "
                'comma stands in quotes: clip.mp4,"a red, round ball"'
            )
        if any("\n" in value or "\r" in value for value in row):
            raise UserError(f"{where} goes on in the next line: close its quote, and keep a caption on one line")
        if row and not row[at[0]]:
            raise UserError(f"{where} is a line without a file; each must be file,caption")
        if row:
            yield row[at[0]], row[at[1]]
        begin = reader.line_num + 1


def _next(reader, table: Path) -> list[str] | None:  # type: ignore[no-untyped-def]
    """The next row, or None behind the last. ``reader``: csv's, whose type has no public name."""
    begin = reader.line_num + 1
    try:
        return next(reader, None)
    except csv.Error as error:
        what = "has a quote that is not closed" if "end of data" in str(error) else f"is no row of a table ({error})"
        raise UserError(
            f"captions file {table}, line {begin}, {what}; a caption in quotes ends with one, and a quote in it is "
            'doubled: clip.mp4,"a ""red"" ball"'
        ) from None


def _normal(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 a link is not followed: two to one file may have two captions
