"""What is doubtful about numbers, for few clips or captions not seen whole: one line a metric, below the table.

Shape suffixes: n clips, m reference clips, d numbers a clip.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from artv_eval.extras import EvaluatorExtras, ExtractorExtras, optional
from artv_eval.metrics.clusters import as_groups
from artv_eval.metrics.statistics import FEWEST
from artv_eval.results.rows import noted

ENOUGH = 20
"""Clips, or prompts of several, from which on intervals of means cover; set metrics' do so earlier: docs/metrics.md."""
SHOWN = 60  # letters of a caption


class Judged(NamedTuple):
    """An evaluator with its rows (n, d) and those of the reference (m, d); without rows there is no number.

    ``prompts``: (n,) which prompt each clip is of, where they may share one.
    """

    evaluator: Any
    rows: np.ndarray | None
    reference: np.ndarray | None
    prompts: Sequence[Hashable] | None = None


def doubts(found: Iterable[Judged]) -> list[str]:
    """Lines about numbers.

    Metrics of the same doubt share a line. A cost, which has no interval, is in none.
    """
    lines: dict[str, dict[str, None]] = {}
    failed: list[str] = []
    for evaluator, rows, reference, prompts in found:
        if rows is not None and not optional(evaluator, EvaluatorExtras, "is_cost"):
            with noted(failed, f"{evaluator.name}: covariance_samples()"):
                for line in _of(evaluator, rows, reference, prompts):
                    lines.setdefault(line, {})[evaluator.name] = None
    return [*(f"{', '.join(names)}: {line}" for line, names in lines.items()), *dict.fromkeys(failed)]


def caption_doubts(evaluators: Iterable[Any], captions: Iterable[str]) -> list[str]:
    """Lines about captions that a metric's text encoder does not see whole; metrics of one encoder share a line."""
    names: dict[Any, dict[str, None]] = {}
    for evaluator in evaluators:
        encoder = optional(evaluator, EvaluatorExtras, "clip")
        if "captions" in evaluator.needs and encoder is not None:
            names.setdefault(encoder, {})[evaluator.name] = None
    lines: list[str] = []
    captions = list(captions) if names else []
    for encoder, metrics in names.items():
        unread = optional(encoder, ExtractorExtras, "unread")
        why: dict[str, str] = {}
        with noted(lines, f"{', '.join(metrics)}: unread() of {encoder.name}"):
            why = {text: end for text in dict.fromkeys(captions) if (end := unread(text)) is not None}
        if why:
            number, text = sum(text in why for text in captions), next(iter(why))
            shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
            which = f"{number} of {len(captions)} captions are not seen whole by {encoder.name}"
            lines.append(f"{', '.join(metrics)}: {which}: {shown!r} {why[text]}")
    return lines


def _of(
    evaluator: Any, rows: np.ndarray, reference: np.ndarray | None, prompts: Sequence[Hashable] | None
) -> list[str]:
    said = optional(evaluator, EvaluatorExtras, "said")
    lines = [] if said is None else [said]
    values = optional(evaluator, EvaluatorExtras, "per_clip")(rows)
    there = np.ones(len(rows), bool) if values is None else ~np.isnan(np.asarray(values, np.float64))
    groups = None if prompts is None else as_groups([prompt for prompt, its in zip(prompts, there, strict=True) if its])
    n, what = (int(there.sum()), "clips") if groups is None else (len(set(groups)), "prompts")
    if values is not None and n < FEWEST:
        lines.append(f"a test of two models by fewer than {FEWEST} pairs, here {n}, cannot reach p < 0.05")
    if n < ENOUGH:
        lines.append(f"{n} {what} are too few for the 95 % interval to be relied on; take {ENOUGH} or more")
    for side, its in (("", rows), ("reference ", reference)):
        samples = None if its is None else optional(evaluator, EvaluatorExtras, "covariance_samples")(its)
        if samples is not None and samples[0] < samples[2]:
            few = f"{samples[0]} {side}{samples[1]} describe a covariance of {samples[2]} dimensions"
            lines.append(f"{few}; compare only with the same n")
    return lines
