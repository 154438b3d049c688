"""The pictures of a run as files, for a paper: black ink, clear ground, text as text in SVG and PDF."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from artv.errors import UserError, closest
from artv.files import writing
from artv_eval.report.lengths import lengths_of, value_against_training
from artv_eval.report.pareto import trades
from artv_eval.report.plots import Drawing, curves_over_frames, forest, picture, quality_against_cost
from artv_eval.report.tables import grouped
from artv_eval.report.training_curves import losses, training_curves
from artv_eval.report.training_runs import manifest_of
from artv_eval.results.rows import Results
from artv_eval.results.store import RunStore

FORMATS = ("svg", "png", "pdf")


def figures(results: Results, store: RunStore | None = None) -> Iterator[tuple[str, Drawing]]:
    """Name and drawing of every picture that the page has; ``store``: of the run, for how its trainings went."""
    for name, rows, pairs in grouped(results):
        if pairs:
            yield f"{name}-differences", forest(rows, pairs)
    for trade in trades(results):
        cost = "cost" if trade.cost[0].metric == "seconds" else trade.cost[0].metric
        yield f"{trade.ablation}-{trade.metric}-{cost}", quality_against_cost(trade)
    ordered = sorted(results.curves, key=lambda curve: (curve.ablation or "", curve.metric))
    for (ablation, metric), curves in groupby(ordered, key=lambda curve: (curve.ablation or "", curve.metric)):
        yield f"{ablation or 'scores'}-{metric}-frames", curves_over_frames(list(curves))
    for item in lengths_of(results):
        yield f"{item.ablation}-{item.metric}-training", value_against_training(item)
    for name, lines in (training_curves(store, manifest_of(store.root)) if store else {}).items():
        yield f"training-{name}", losses(name, lines)


def write_figures(results: Results, folder: Path, formats: Sequence[str], store: RunStore | None = None) -> list[Path]:
    """Writes them all and returns their paths.

    Raises:
        UserError: a format that is none of ours, or nothing to draw.
    """
    formats = [name.strip().lower() for name in formats if name.strip()]
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"--plot-format has {name!r}; {closest(name, FORMATS)}")
    written = []
    for name, drawing in figures(results, store):
        stem = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:120]
        for suffix in formats:
            with writing(folder / f"{stem}.{suffix}") as part:
                part.write_bytes(picture(drawing, suffix))
            written.append(folder / f"{stem}.{suffix}")
    if not written:
        raise UserError("--plots: these results have nothing to draw: no comparison, no curve and no cost")
    return written
