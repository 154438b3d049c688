"""Tables of files and captions as CSV, JSON lines or Parquet: (file, caption) of each row.

What would be read in another way than it is meant is refused, with its line.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from artv.errors import UserError

COLUMNS = ("file", "caption")
SURROGATE = re.compile("[\ud800-\udfff]")
"""Halves of characters, which JSON can hold alone and UTF-8 cannot."""
FIRST = 100  # objects of JSON lines that tell what the others hold

SETTINGS = frozenset((
    "seed", "seeds", "frames", "num_frames", "frame", "length", "duration", "seconds", "fps", "frame_rate", "stride",
    "start", "end", "start_frame", "end_frame", "start_time", "end_time", "begin", "height", "width", "size",
    "resolution", "aspect_ratio", "steps", "num_steps", "num_inference_steps", "sampling_steps", "sampler", "guidance",
    "guidance_scale", "cfg", "cfg_scale", "negative_prompt", "negative", "image", "image_path", "first_frame", "mask",
    "model", "checkpoint", "split", "repeats", "weight",
))  # fmt: skip
"""What columns are called that say how a clip is to be made or read."""


def unused(columns: Iterable[str], used: Iterable[str]) -> list[str]:
    """The columns that are not ``used`` though their names (``SETTINGS``, whatever their case) say how clips are to be
    made or read: what a user may take for done."""
    return [name for name in columns if name not in used and _plain(name) in SETTINGS]


def _plain(name: str) -> str:
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def columns_of(table: Path) -> list[str]:
    """The columns of a table that could be read: of its header, of the first objects of JSON lines, or of Parquet."""
    if table.suffix.lower() == ".parquet":
        import pandas as pd

        return list(map(str, pd.read_parquet(table).columns))
    with table.open(newline="", encoding="utf-8-sig") as file:
        if table.suffix.lower() == ".jsonl":
            first = islice((line for line in file if line.strip()), FIRST)
            return list(dict.fromkeys(name for line in first for name in json.loads(line)))
        return next(csv.reader(file, strict=True, skipinitialspace=True), [])


def csv_rows(table: Path) -> Iterator[tuple[str, str]]:
    """A table that begins with ``file,caption``; other columns and their order do not matter."""
    with table.open(newline="", encoding="utf-8-sig") as file:  # with or without a byte-order mark
        yield from _rows(file, table)


def json_rows(table: Path) -> Iterator[tuple[str, str]]:
    """An object with the texts ``file`` and ``caption`` on each line."""
    with table.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"captions file {table}, line {number}, is no JSON ({error})") from None
            if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in COLUMNS):
                begins = line.strip()[:80]
                raise UserError(
                    f"captions file {table}, line {number}, must have the texts 'file' and 'caption'; it is {begins}"
                )
            if any(SURROGATE.search(row[name]) for name in COLUMNS):
                raise UserError(f"captions file {table}, line {number}, has half of a character: write it again")
            yield row["file"], row["caption"]


def parquet_rows(table: Path) -> Iterator[tuple[str, str]]:
    """The columns ``file`` and ``caption``, by pandas with pyarrow; an empty caption is blank."""
    import pandas as pd

    try:
        rows = pd.read_parquet(table)
    except ImportError:
        raise UserError(f"captions file {table} needs pyarrow: pip install pyarrow, or save it as CSV") from None
    except Exception as error:  # each of its engines has its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"captions file {table} is no Parquet ({reason[:120]})") from None
    if not set(COLUMNS) <= set(rows.columns):
        there = ", ".join(map(str, rows.columns))
        raise UserError(f"captions file {table} must have the columns file and caption; it has {there}")
    values = rows[list(COLUMNS)].astype(object)
    for number, row in enumerate(values.where(values.notna(), "").itertuples(index=False), 1):
        if not all(isinstance(value, str) for value in row):
            raise UserError(
                f"captions file {table}, row {number}, must have texts in 'file' and 'caption'; it has {tuple(row)}"
            )
        yield row[0], row[1]


READERS: dict[str, Callable[[Path], Iterator[tuple[str, str]]]] = {
    ".csv": csv_rows,
    ".jsonl": json_rows,
    ".parquet": parquet_rows,
}
"""By suffix; any other is taken for CSV."""


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
