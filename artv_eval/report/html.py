"""The page of a run: tables, what each metric sees, curves, and clips side by side at the same prompt and seed.

One file without links to anything: it can be mailed.
"""

import base64
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from artv.errors import UserError, WorkFailed
from artv.video import write_video
from artv_eval.report import tables
from artv_eval.report.pareto import trades
from artv_eval.report.plots import curves_svg, trade_svg
from artv_eval.results.documents import Gallery, GalleryItem, Manifest, read_json
from artv_eval.results.rows import OK, Results
from artv_eval.results.store import RunStore

PROMPTS = 6  # shown with their clips


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The clips made for one request: cell → data address of an mp4."""

    prompt: str
    seed: int
    clips: Mapping[str, str]


def page(results: Results, store: RunStore | None = None) -> str:
    """The page as text. Without a store there are no clips."""
    environment = Environment(loader=PackageLoader("artv_eval.report"), autoescape=True, trim_blocks=True)
    manifest = read_json(store.root / "manifest.json", Manifest) if store else {}
    flaw_head, flaw_rows = tables.flaw_table(results.flaws)
    return environment.get_template("page.html").render(
        title=", ".join(name for name, _, _ in tables.grouped(results)) or "scores",
        results=results,
        groups=_groups(results),
        head=tables.HEAD,
        pair_head=tables.PAIR_HEAD,
        absences=tables.absences(results.rows),
        flaw_head=flaw_head,
        flaw_rows=flaw_rows,
        plots=_plots(results),
        trades=[Markup(trade_svg(trade)) for trade in trades(results)],  # matplotlib escapes the labels itself
        shown=_shown(manifest, store) if store else [],
        facts=_facts(manifest),
        components=manifest.get("components", []),
        metrics=manifest.get("metrics", []),
        protocols=sorted({(row.protocol, row.protocol_hash) for row in results.rows}),
    )


def _groups(results: Results) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "rows": [(row, tables.cells_of(row)) for row in rows if row.status == OK],
            "pairs": [(pair, tables.cells_of_pair(pair)) for pair in pairs],
        }
        for name, rows, pairs in tables.grouped(results)
    ]


def _plots(results: Results) -> list[Markup]:
    def key(curve: Any) -> tuple[str, str]:
        return (curve.ablation or "", curve.metric)

    # matplotlib escapes the labels itself
    return [Markup(curves_svg(list(group))) for _, group in groupby(sorted(results.curves, key=key), key=key)]


def _facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What the page says of how the numbers were made."""
    if not manifest:
        return {}
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    machine = manifest["machine"]
    return {
        "command": " ".join(manifest["command"]) or "–",
        "started": manifest["started"],
        "clips a cell": str(manifest["num_videos"]),
        "machine": f"{machine['system']}, {machine['device']}",
        "versions": versions,
    }


def _shown(manifest: Mapping[str, Any], store: RunStore) -> list[Shown]:
    """The first requests with the clips of every cell that has them."""
    path = store.root / "gallery.json"
    found = read_json(path, Gallery | list[GalleryItem]) if path.exists() else []
    requests = (found["requests"] if isinstance(found, dict) else found)[:PROMPTS]
    cells = {cell["cell"]: cell["id"] for cell in manifest.get("cells", []) if cell["status"] == OK}
    rows = []
    for request in requests:
        clips = {name: _movie(store, cell, request["index"], request["fps"]) for name, cell in cells.items()}
        found = {name: movie for name, movie in clips.items() if movie}
        rows.append(Shown(prompt=request["prompt"], seed=request["seed"], clips=found))
    return rows


def _movie(store: RunStore, cell: str, index: int, fps: float) -> str | None:
    """An mp4 as a data address: lossy, for looking only."""
    if store.fingerprint(cell, index) is None:
        return None
    clip = store.load_clip(cell, index)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, clip.frames, fps=fps)
        return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()


def load_run(run: Path) -> tuple[Results, RunStore]:
    """The results of a finished run.

    Raises:
        UserError: no such folder, or no results in it. WorkFailed: the run is not finished.
    """
    if not run.is_dir():
        raise UserError(f"run folder {str(run)!r} does not exist; give the folder that a sweep printed")
    store = RunStore(run)
    if not (run / "results.json").exists() and (run / "manifest.json").exists():
        command = " ".join(read_json(run / "manifest.json", Manifest)["command"])
        raise WorkFailed(f"run {run} is not finished; run its command again: {command}")
    return Results.from_dict(read_json(run / "results.json")), store
