"""What is doubtful about numbers, for few clips or captions not seen whole: one line a metric, below the table.

Shape suffixes: n clips, m reference clips, d numbers a clip.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

ENOUGH = 20  # clips from which on intervals of means cover too; those of set metrics do so earlier: docs/metrics.md
SHOWN = 60  # letters of a caption


def doubts(found: Iterable[tuple[Any, np.ndarray | None, np.ndarray | None]]) -> list[str]:
    """Lines about evaluators with their rows (n, d) and those of the reference (m, d); without rows there is no number.

    Metrics of the same doubt share a line. A cost, which has no interval, is in none.
    """
    lines: dict[str, dict[str, None]] = {}
    for evaluator, rows, reference in found:
        if rows is not None and not getattr(evaluator, "is_cost", False):
            for line in _of(evaluator, rows, reference):
                lines.setdefault(line, {})[evaluator.name] = None
    return [f"{', '.join(names)}: {line}" for line, names in lines.items()]


def caption_doubts(evaluators: Iterable[Any], captions: Iterable[str]) -> list[str]:
    """Lines about captions that a metric's text encoder does not see whole; metrics of one encoder share a line."""
    names: dict[Any, dict[str, None]] = {}
    for evaluator in evaluators:
        encoder = getattr(evaluator, "clip", None)
        if "captions" in evaluator.needs and hasattr(encoder, "unread"):
            names.setdefault(encoder, {})[evaluator.name] = None
    lines, captions = [], list(captions) if names else []
    for encoder, metrics in names.items():
        why = {text: unread for text in dict.fromkeys(captions) if (unread := encoder.unread(text)) is not None}
        if why:
            number, text = sum(text in why for text in captions), next(iter(why))
            shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
            which = f"{number} of {len(captions)} captions are not seen whole by {encoder.name}"
            lines.append(f"{', '.join(metrics)}: {which}: {shown!r} {why[text]}")
    return lines


def _of(evaluator: Any, rows: np.ndarray, reference: np.ndarray | None) -> list[str]:
    lines = []
    values = evaluator.per_clip(rows) if hasattr(evaluator, "per_clip") else None
    n = len(rows) if values is None else int((~np.isnan(np.asarray(values, np.float64))).sum())
    if n < ENOUGH:
        lines.append(f"{n} clips are too few for the 95 % interval to be relied on; take {ENOUGH} or more")
    if hasattr(evaluator, "covariance_samples"):
        for side, its in (("", rows), ("reference ", reference)):
            if its is not None:
                number, what, dimensions = evaluator.covariance_samples(its)
                if number < dimensions:
                    few = f"{number} {side}{what} describe a covariance of {dimensions} dimensions"
                    lines.append(f"{few}; compare only with the same n")
    return lines
