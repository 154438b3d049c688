"""Which clips a folder holds: ``captions.csv`` (file,caption). Needs no torch, so commands check it at once."""

import csv
from dataclasses import dataclass
from pathlib import Path

from artv.errors import UserError

CAPTIONS = "captions.csv"


@dataclass(frozen=True)
class CaptionedFile:
    """A video file and its caption."""

    path: Path
    caption: str


def read_table(table: Path) -> list[tuple[str, str]]:
    """(file, caption) of every line of a table that begins with ``file,caption``; a caption may be blank.

    Raises:
        UserError: it cannot be read, is not UTF-8, lacks a column, a line or the name of a file.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or (), list(reader)
    except OSError as error:
        raise UserError(f"captions file {table} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"captions file {table} is no text in UTF-8 ({error}); save it as CSV in UTF-8") from None
    if not {"file", "caption"} <= set(columns):
        raise UserError(
            f"captions file {table} must begin with the line 'file,caption'; it begins with {','.join(columns)[:80]!r}"
        )
    if not rows:
        raise UserError(f"captions file {table} is empty; it needs a line (file,caption) for each clip")
    if any(not row["file"] for row in rows):
        raise UserError(f"captions file {table} has a line without a file; each must be file,caption")
    return [(row["file"], row["caption"] or "") for row in rows]


def read_captions(folder: str | Path) -> list[CaptionedFile]:
    """The rows of ``captions.csv``. Raises :class:`UserError` when it is missing, empty or names missing files."""
    folder = Path(folder)
    table = folder / CAPTIONS
    if not folder.is_dir():
        raise UserError(
            f"data folder {folder} does not exist; write one with: artv data shapes --out {folder} --num 256"
        )
    if not table.is_file():
        raise UserError(f"{table} is missing; it must hold the columns file,caption")
    rows = [CaptionedFile(folder / file, caption) for file, caption in read_table(table)]
    for row in rows:
        if not row.path.is_file():
            raise UserError(f"{table} names {row.path.name}, which is no file in {folder}")
    return rows
