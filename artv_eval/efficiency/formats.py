"""Rows of measurements as people and programs read them: one renderer for the efficiency table and the speed card."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from artv.errors import UserError, closest
from artv_eval.report import latex, markdown, terminal
from artv_eval.results.csv_text import csv_text

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a table of such rows shows.

    Args:
        title: above it, in a terminal.
        left: columns of text, which come first; the others hold numbers.
        grid: rows → header and cells.
        notes: rows → lines below the table: how to read it.
    """

    title: str
    left: int
    grid: Callable[[Sequence[Row]], list[list[str]]]
    notes: Callable[[Sequence[Row]], list[str]]

    def render(self, rows: Sequence[Row], format: str) -> str:
        """The rows as text in one of :data:`FORMATS`."""
        check_format(format)
        return FORMATS[format](self, rows)


def _table(look: Look, rows: Sequence[Row]) -> str:
    head, *body = look.grid(rows)
    return terminal.texts(head, body, look.notes(rows), title=look.title, left=look.left).rstrip("\n")


def _json(look: Look, rows: Sequence[Row]) -> str:
    return json.dumps(list(rows), indent=2, allow_nan=False)


def _csv(look: Look, rows: Sequence[Row]) -> str:
    """All that the rows hold, not what the table shows."""
    flat = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(key for row in flat for key in row))
    return csv_text(columns, [[row.get(column) for column in columns] for row in flat]).rstrip("\n")


def _flat(row: Row) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in row.items():
        result |= {f"{key}_{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {key: value}
    return result


def _markdown(look: Look, rows: Sequence[Row]) -> str:
    head, *body = look.grid(rows)
    return "\n".join([*markdown.table(head, body), "", *(f"- {note}" for note in look.notes(rows))])


def _latex(look: Look, rows: Sequence[Row]) -> str:
    head, *body = look.grid(rows)
    lines = [latex.joined([latex.tex(cell) for cell in line]) for line in body]
    comments = [latex.comment(note) for note in look.notes(rows)]
    return "\n".join([latex.PACKAGES, *comments, *latex.tabular([latex.tex(cell) for cell in head], lines, look.left)])


FORMATS: dict[str, Callable[[Look, Sequence[Row]], str]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "markdown": _markdown,
    "latex": _latex,
}


def check_format(format: str) -> None:
    """UserError for a format that does not exist."""
    if format not in FORMATS:
        raise UserError(f"format is {format!r}; {closest(format, FORMATS)}")
