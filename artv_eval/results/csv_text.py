"""Tables for spreadsheets: a text in a cell is a text there, never a formula, and nothing that a terminal obeys."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from artv.ending import printable

FORMULA = ("=", "+", "-", "@")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV with a header and ``\\n`` at the ends of lines. Texts are :func:`guarded`, numbers as Python writes them."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, np.generic):  # numpy's numbers are written as "np.float64(1.5)"
        value = value.item()
    return guarded(value) if isinstance(value, str) else value


def guarded(text: str) -> str:
    """With an apostrophe ahead where a spreadsheet would compute it, and on one line."""
    text = printable(text, keep="")
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def unguarded(text: str) -> str:
    """Without that apostrophe."""
    return text[1:] if text.startswith("'") and text[1:].lstrip().startswith(FORMULA) else text
