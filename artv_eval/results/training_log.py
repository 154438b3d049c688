"""What ``artv train`` notes as it goes, read."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from artv.files import read_text
from artv_eval.results.rows import is_number


def logged_losses(log: Path) -> dict[str, list[tuple[int, float]]]:
    """Name → (step, value) of ``loss`` and of each loss of a validation in a training's ``log.jsonl``, by rising steps:
    what was noted of steps that a resumed training made again does not count.

    A line that a kill cut off is left out; no file has no curves.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for row in _rows(log):
        with suppress(ValueError, TypeError, AttributeError):
            step = int(row.get("step", 0))
            validated = {f"validation {name}": value for name, value in row.get("validation", {}).items()}
            for name, value in {"loss": row.get("loss"), **validated}.items():
                if is_number(value):
                    points = found.setdefault(name, [])
                    while points and points[-1][0] >= step:
                        points.pop()
                    points.append((step, float(value)))
    return found


def logged_counts(log: Path) -> dict[str, int]:
    """``samples`` that the last training loss is the mean of, and ``clips`` of the last validation.

    Logs of older versions do not say.
    """
    return {name: row[name] for row in _rows(log) for name in ("samples", "clips") if isinstance(row.get(name), int)}


def _rows(log: Path) -> Iterator[dict[str, Any]]:
    for line in read_text(log, errors="replace").splitlines() if log.is_file() else ():
        with suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict):
                yield row
