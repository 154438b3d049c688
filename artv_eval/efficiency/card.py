"""The speed card as people read it: a row a method, the conditions beside the figures."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from artv.errors import UserError, closest
from artv_eval.results.csv_text import csv_text

Row = Mapping[str, Any]
TITLES = {
    "method": "method",
    "size": "size",
    "frames": "frames",
    "precision": "precision",
    "steps": "steps",
    "batch": "batch",
    "chunks": "chunks",
    "first_frame_s": "first frame s",
    "gap_median_s": "gap s",
    "gap_p95_s": "p95",
    "gap_p99_s": "p99",
    "steady_frames_s": "frames/s",
    "steady_frames_s_undecoded": "without decoding",
    "real_time_factor": "× real time",
    "stalls": "stalls",
    "stalled_s": "stalled s",
    "total_s": "total s",
    "memory_gib": "GiB",
    "memory_growth_mib_frame": "MiB/frame",
    "energy_j_frame": "J/frame",
    "status": "status",
}


def grid(rows: Sequence[Row]) -> list[list[str]]:
    """Header and cells."""
    return [list(TITLES.values()), *([_cell(row, name) for name in TITLES] for row in rows)]


def _cell(row: Row, name: str) -> str:
    value = f"{row['width']}×{row['height']}" if name == "size" and "width" in row else row.get(name)
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def note(rows: Sequence[Row]) -> str:
    """Under which conditions, in a line."""
    cards = dict.fromkeys(str(row["hardware"]) for row in rows if "hardware" in row)
    rates = dict.fromkeys(f"{row['fps']:g}" for row in rows if "fps" in row)
    return (
        f"On {', '.join(cards)}; real time is {', '.join(rates)} frames a second; gaps between chunks, frames/s over "
        "the second half of them, frames decoded unless it says without."
    )


def _table(rows: Sequence[Row]) -> str:
    lines = grid(rows)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([*padded, "", note(rows)])


def _markdown(rows: Sequence[Row]) -> str:
    header, *body = grid(rows)
    lines = [header, ["---:"] * len(header), *body]
    return "\n".join([*("| " + " | ".join(line) + " |" for line in lines), "", note(rows)])


def _csv(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return csv_text(names, [[row.get(name) for name in names] for row in rows]).rstrip("\n")


FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {
    "table": _table,
    "json": lambda rows: json.dumps(list(rows), indent=2, allow_nan=False),
    "csv": _csv,
    "markdown": _markdown,
}


def render(rows: Sequence[Row], format: str) -> str:
    """The rows as text in one of :data:`FORMATS`."""
    check_format(format)
    return FORMATS[format](rows)


def check_format(format: str) -> None:
    """UserError for a format that does not exist."""
    if format not in FORMATS:
        raise UserError(f"format is {format!r}; {closest(format, FORMATS)}")
