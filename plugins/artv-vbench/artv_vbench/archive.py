"""The archive that VBench's leaderboard takes, from a finished run.

    python -m artv_vbench.archive runs/mine --cell my-model --out evaluation_results.zip

As its README says under "Submit to Leaderboard": a zip of VBench's result files. One a dimension,
``CELL_DIMENSION_eval_results.json``, holds ``{DIMENSION: [mean, [{video_path, video_results}, …]]}``. The run must have
scored ``vbench-suite:DIMENSION`` of all sixteen.
"""

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from artv.errors import UserError
from artv_vbench import ALL
from artv_vbench.metric import SCALE


def archive(run: Path, cell: str, out: Path) -> dict[str, float]:
    """Writes the zip and gives the means that it says, by dimension.

    Raises:
        UserError: the run is none, has no such cell, or has not scored all dimensions of it.
    """
    table = _per_clip(run)
    cells = sorted(set(table["cell"]))
    if cell not in cells:
        raise UserError(f"--cell is {cell!r}; {run} has {', '.join(cells)}")
    its = {str(metric): rows for metric, rows in table[table["cell"] == cell].groupby("metric")}
    if lacking := [name for name in ALL if f"vbench-suite:{name}" not in its]:
        raise UserError(f"{cell} of {run} lacks vbench-suite:{', '.join(lacking)}; score all 16 dimensions")
    found = {name: results(name, its[f"vbench-suite:{name}"]) for name in ALL}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, result in found.items():
            file = f"{re.sub(r'[^A-Za-z0-9.-]+', '-', cell)}_{name}_eval_results.json"
            zipped.writestr(file, json.dumps({name: result}, indent=4))
    return {name: result[0] for name, result in found.items()}


def _per_clip(run: Path) -> pd.DataFrame:
    """A row a value that is finite: cell, metric, index of the clip, value, number of its prompt."""
    try:
        table = pd.read_csv(run / "per_clip.csv", dtype={"cell": str, "metric": str})
        table["cell"] = table["cell"].str.removeprefix("'")  # set before what a spreadsheet would compute
        table = table[np.isfinite(table["value"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{run} holds no per_clip.csv that can be read ({error}); give the folder of a finished sweep"
        ) from None
    if table.empty:
        raise UserError(f"{run} holds no per_clip.csv with values; give the folder of a finished sweep")
    return table


def results(dimension: str, rows: pd.DataFrame) -> tuple[float, Sequence[Mapping[str, Any]]]:
    """A dimension's mean and its clips, on VBench's scale of each, named by prompt and clip of it."""
    scale, rows = SCALE.get(dimension, 1.0), rows.sort_values("index")
    prompts = rows["prompt"].fillna(rows["index"]).astype(int)
    videos = [
        {"video_path": f"{prompt}-{index}.mp4", "video_results": value / scale}
        for prompt, index, value in zip(prompts, rows["index"], rows["value"], strict=True)
    ]
    return float(rows["value"].mean()), videos


def main(argv: Sequence[str] | None = None) -> int:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished sweep")
    parser.add_argument("--cell", required=True, help="whose scores")
    parser.add_argument("--out", type=Path, default=Path("evaluation_results.zip"))
    given = parser.parse_args(argv)
    try:
        means = archive(given.run, given.cell, given.out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{given.out}: " + ", ".join(f"{name} {value:.4f}" for name, value in means.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
