"""Losses of the trainings behind a run's cells, or of a training itself: a line a training, those of one cell in one
colour.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from artv_eval.report.plots import COLOURS, STYLES, Drawing, logarithmic, short
from artv_eval.report.training_runs import is_training
from artv_eval.results.documents import read_json
from artv_eval.results.store import RunStore
from artv_eval.results.training_log import logged_losses

Lines = Mapping[str, Sequence[Sequence[tuple[float, float]]]]
"""Cell → (step, value) of each of its trainings."""


def training_curves(store: RunStore, manifest: Mapping[str, Any]) -> dict[str, Lines]:
    """Name of what was noted, such as ``loss`` → the lines; nothing of runs that trained nothing, or older ones."""
    found: dict[str, dict[str, list[Any]]] = {}
    if is_training(store.root):
        points = logged_losses(store.root / "model" / "log.jsonl").get("loss")  # those of validation are its rows
        return {"loss": {store.root.resolve().name: [points]}} if points else {}
    for cell in manifest.get("cells", []):
        note = store.root / "cells" / f"{cell['id']}.twin.json"
        curves = read_json(note).get("curves", {}) if note.is_file() else {}
        for name, points in curves.items():
            found.setdefault(name, {}).setdefault(cell["cell"], []).append(points)
    return dict(found)


def losses(name: str, lines: Lines) -> Drawing:
    """One quantity over the training steps; the axis is logarithmic, for losses fall by factors."""

    def paint(grid: Any) -> None:
        axes = grid[0, 0]
        for k, (cell, trainings) in enumerate(lines.items()):
            line = {"color": COLOURS[k % len(COLOURS)], "linestyle": STYLES[k // len(COLOURS) % len(STYLES)]}
            for i, points in enumerate(trainings):
                steps, values = zip(*points, strict=True)
                axes.plot(steps, values, label=short(cell) if i == 0 else None, linewidth=1, **line)
        axes.set_xlabel("training step")
        axes.set_ylabel(name)
        if all(value > 0 for trainings in lines.values() for points in trainings for _, value in points):
            logarithmic(axes.yaxis)
        axes.legend(frameon=False, fontsize=8)

    return Drawing(paint=paint)
