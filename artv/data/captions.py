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
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"file", "caption"} <= set(reader.fieldnames or ()):
            raise UserError(f"{table} has the columns {reader.fieldnames}; it must have file and caption")
        rows = [CaptionedFile(folder / row["file"], row["caption"] or "") for row in reader]
    if not rows:
        raise UserError(f"{table} is empty; it needs a row (file,caption) for each clip")
    for row in rows:
        if not row.path.is_file():
            raise UserError(f"{table} names {row.path.name}, which does not exist in {folder}")
    return rows
