"""What ``artv train`` notes as it goes, read."""

import json
from contextlib import suppress
from pathlib import Path

from artv.files import read_text
from artv_eval.results.rows import is_number


def logged_losses(log: Path) -> dict[str, list[tuple[int, float]]]:
    """Name → (step, value) of ``loss`` and of each loss of a validation in a training's ``log.jsonl``.

    A line that a kill cut off is left out; no file has no curves.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for line in read_text(log, errors="replace").splitlines() if log.is_file() else ():
        with suppress(ValueError, TypeError, AttributeError):
            row = json.loads(line)
            validated = {f"validation {name}": value for name, value in row.get("validation", {}).items()}
            for name, value in {"loss": row.get("loss"), **validated}.items():
                if is_number(value):
                    found.setdefault(name, []).append((int(row.get("step", 0)), float(value)))
    return found
