"""The speed card beside the quality of the same cells: its rates become a cost of the run's Pareto fronts.

    results = with_speed(results, read_speed(Path("speed.json")))     # artv-eval report RUN --speed speed.json

The file is what ``artv-eval efficiency --streaming --out FILE`` kept, or ``benchmarks/streaming_speed.py``. A row of it
belongs to the cell of its name, or to the one cell of its method, if both took as many steps. ``artv-eval efficiency
--streaming --cells RUN`` measures a run's cells under their names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv.files import read_text
from artv_eval.report.pareto import FRAME_COST
from artv_eval.results.rows import OK, Results, Row, is_number

CONDITIONS = ("hardware", "width", "height", "frames", "precision", "steps", "batch")
SpeedRow = Mapping[str, Any]
Steps = dict[tuple[str | None, str], int]  # by ablation and cell


def read_speed(path: Path) -> list[SpeedRow]:
    """The rows of a speed card. Raises UserError for what is none, or for a row that does not say its conditions."""
    try:
        values = json.loads(read_text(path))
        rows = values["rows"] if isinstance(values, dict) else values
        names = [row["method"] for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"--speed {path} is no speed card ({type(error).__name__}: {error}); make one with artv-eval efficiency "
            "--streaming --out FILE"
        ) from None
    for name, row in zip(names, rows, strict=True):
        if row.get("status") == OK and (lacking := [key for key in CONDITIONS if not row.get(key)]):
            raise UserError(f"--speed {path}: the row of {name} says nothing without its {' and '.join(lacking)}")
    return rows


def steps_ran(manifest: Mapping[str, Any]) -> Steps:
    """Sampling steps by ablation and cell, of the cells that a run's manifest says them of."""
    cells = ((cell["ablation"], cell["cell"], (cell.get("ran") or {}).get("steps")) for cell in manifest["cells"])
    return {(ablation, cell): steps for ablation, cell, steps in cells if isinstance(steps, int)}


def with_speed(results: Results, card: Sequence[SpeedRow], steps: Steps | None = None) -> Results:
    """The results with seconds a frame, of a steady stream, of all cells that the card has.

    Args:
        steps: that cells took, by ablation and cell: a rate of other steps is not theirs.

    Raises:
        UserError: the card has none of them, or took other steps.
    """
    usable = [row for row in card if row.get("status") == OK and is_number(row.get("steady_frames_s"))]
    cells = {(row.ablation, row.cell): row for row in results.rows if row.ablation and not row.sanity}
    found = [(cell, row) for cell in cells.values() if (row := _of(cell, list(cells.values()), usable)) is not None]
    if not found:
        have = ", ".join(dict.fromkeys(cell for _, cell in cells))
        said = ", ".join(f"{row['method']} ({row.get('status')})" for row in card)
        raise UserError(f"--speed: the card has {said} and the run the cells {have or 'none'}: none of them has a rate")
    for cell, row in found:
        if (its := (steps or {}).get((cell.ablation, cell.cell), row["steps"])) != row["steps"]:
            raise UserError(
                f"--speed: the card's {row['method']} took {row['steps']} steps and the cell {cell.cell} {its}, so "
                "that its rate is another's; measure the run's own with artv-eval efficiency --streaming --cells RUN"
            )
    rows = [
        replace(
            cell, metric=FRAME_COST, value=1 / row["steady_frames_s"], ci_low=None, ci_high=None, n=row["batch"],
            status=OK, higher_is_better=False, features=None, prompts=None, excerpt=None, protocol_hash="",
            protocol="speed card", seeds=None, about=None, sd_trainings=None, se_clips=None,
        )
        for cell, row in found
    ]  # fmt: skip
    lines = dict.fromkeys(f"{FRAME_COST} of {cell.cell}: {_said(row)}" for cell, row in found)
    return replace(results, rows=[*results.rows, *rows], notes=[*results.notes, *lines])


def _of(cell: Row, cells: Sequence[Row], card: Sequence[SpeedRow]) -> SpeedRow | None:
    """The card's row of a cell: of its name, else of its method where no other cell of the ablation has that."""
    by_name = {row["method"]: row for row in card}
    if cell.cell in by_name:
        return by_name[cell.cell]
    alike = [other for other in cells if (other.ablation, other.method) == (cell.ablation, cell.method)]
    return by_name.get(cell.method) if len(alike) == 1 else None


def _said(row: SpeedRow) -> str:
    """Under which conditions, in one line."""
    return (
        f"{row['steady_frames_s']:.4g} frames/s on {row['hardware']}, {row['width']}×{row['height']}, {row['frames']} "
        f"frames, {row['precision']}, {row['steps']} steps, batch {row['batch']}"
    )
