"""``per_clip.csv``: every value of every clip, for whoever tests something else than we do."""

import csv
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv.files import read_bytes
from artv_eval.results.csv_text import csv_text, unguarded
from artv_eval.results.rows import ClipValues

COLUMNS = ("ablation", "cell", "metric", "index", "value", "prompt")
PER_CLIP = "per_clip_sha256"
"""Field of ``results.json``: digest of the values of clips that belong to it."""


def text_digest(text: str) -> str:
    """16 hex digits of the file with this text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def as_csv(per_clip: Sequence[ClipValues]) -> str:
    """A line a value; ``index`` is the request's, under which the clip is kept; ``prompt`` numbers the prompts."""
    lines = (
        (item.ablation or "", item.cell, item.metric, index, value, item.prompts.get(index, ""))
        for item in per_clip
        for index, value in item.values.items()
    )
    return csv_text(COLUMNS, lines)


def read_csv(path: Path) -> list[ClipValues]:
    """Inverse of :func:`as_csv`; nothing where there is no file. Raises UserError for what is no such file."""
    if not path.is_file():
        return []
    found: dict[tuple[str, str, str], tuple[dict[int, float], dict[int, int]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                ablation, cell, metric = (unguarded(line[name]) for name in COLUMNS[:3])
                values, prompts = found.setdefault((ablation, cell, metric), ({}, {}))
                values[int(line["index"])] = float(line["value"])
                if prompt := line.get("prompt"):  # files of older versions have none
                    prompts[int(line["index"])] = int(prompt)
    except (AttributeError, KeyError, TypeError, ValueError, csv.Error) as error:  # a line may be cut off anywhere
        raise UserError(f"{path} is damaged ({error}); delete it and run the sweep again") from None
    return [
        ClipValues(ablation=a or None, cell=c, metric=m, values=values, prompts=prompts)
        for (a, c, m), (values, prompts) in found.items()
    ]


def checked_csv(path: Path, results: Mapping[str, Any]) -> list[ClipValues]:
    """The same as :func:`read_csv`, of the values that belong to the document ``results``.

    Raises:
        UserError: it is another file than was written with them: changed by hand, or left by a run that was stopped or
            had no room for the new one. Documents of older versions do not say.
    """
    wanted = results.get(PER_CLIP)
    if wanted is not None and path.is_file() and hashlib.sha256(read_bytes(path)).hexdigest()[:16] != wanted:
        raise UserError(f"{path} is not the one that its results were written with; run the sweep again")
    return read_csv(path)


def finite(values: Mapping[int, float]) -> dict[int, float]:
    """Those that are numbers."""
    return {index: value for index, value in values.items() if math.isfinite(value)}
