"""The page of a run: what was found, tables, plots, and clips side by side at the same prompt and seed, in step.

One file that works without a network. Its clips are pictures beside it or, for a page to be mailed, within it. Whatever
comes from prompts or plugins is text: the page's own script is the only one that its security policy lets run.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from artv.errors import UserError, WorkFailed
from artv_eval.report import tables
from artv_eval.report.findings import findings_of, told_apart
from artv_eval.report.latex import latex
from artv_eval.report.lengths import lengths_of, value_against_training
from artv_eval.report.pareto import trades
from artv_eval.report.plots import Drawing, curves_over_frames, forest, quality_against_cost, svg
from artv_eval.report.previews import Keep, previews, within
from artv_eval.report.training_curves import losses, training_curves
from artv_eval.report.training_runs import is_training, manifest_of, training_results
from artv_eval.report.wide import wide
from artv_eval.results.documents import Gallery, GalleryItem, Manifest, ManifestCell, read_json
from artv_eval.results.kept import FOLDER
from artv_eval.results.per_clip import checked_csv, finite
from artv_eval.results.rows import OK, Results
from artv_eval.results.store import PART, RunStore

CLIPS, WITHIN = 640, 60  # previews of a page: beside it, and within it


def page(results: Results, store: RunStore | None = None, keep: Keep | None = None) -> str:
    """The page as text.

    Args:
        store: of the run, for clips and how they were made; without, there are none.
        keep: where previews go; None puts them into the page, fewer of them.
    """
    environment = Environment(loader=PackageLoader("artv_eval.report"), autoescape=True, trim_blocks=True)
    manifest = manifest_of(store.root) if store else {}
    flaw_head, flaw_rows = tables.flaw_table(results.flaws)
    script = _asset("page.js")
    groups, shown = _groups(results), _shown(manifest, store, keep)
    lists = {"absences": tables.absences(results.rows), "trades": _trades(results), "plots": _plots(results)}
    lists["losses"] = _losses(store, manifest)
    lists["lengths"] = [_drawn(value_against_training(item)) for item in lengths_of(results)]
    return environment.get_template("page.html").render(
        title=", ".join(name for name, _, _ in tables.grouped(results)) or "scores",
        style=Markup(_asset("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_data(results, shown),
        results=results,
        findings=findings_of(results),
        groups=groups,
        pair_head=tables.PAIR_HEAD,
        flaw_head=flaw_head,
        flaw_rows=flaw_rows,
        shown=shown,
        facts=_facts(manifest),
        cells=_cells(manifest, store),
        cell_ids={cell["cell"]: f"cell-{cell['id']}" for cell in reversed(manifest.get("cells", []))},
        components=manifest.get("components", []),
        metrics=manifest.get("metrics", []),
        sections=_sections(
            groups,
            {
                ("clips", "Clips"): shown["prompts"],
                ("cost", "Quality against cost"): lists["trades"],
                ("curves", "Over the frames"): lists["plots"],
                ("lengths", "Against training"): lists["lengths"],
                ("losses", "Trainings"): lists["losses"],
                ("flaws", "What metrics see"): flaw_rows,
                ("notes", "What to mind"): lists["absences"] or results.notes,
                ("made", "How it was made"): manifest,
            },
        ),
        **lists,
    )


def _asset(name: str) -> str:
    return files("artv_eval.report").joinpath("templates", name).read_text(encoding="utf-8")


def _groups(results: Results) -> list[dict[str, Any]]:
    groups = []
    for i, (name, rows, pairs) in enumerate(tables.grouped(results)):
        table = wide(rows, pairs)
        heads = [m + tables.ARROWS[d] for m, d in zip(table.metrics, table.directions, strict=True)]
        groups.append(
            {
                "id": f"values-{i}", "name": name, "wide": table, "heads": heads, "protocols": tables.protocols(rows),
                "forest": _drawn(forest(rows, pairs)) if pairs else None,
                "pairs": [(told_apart(pair), tables.cells_of_pair(pair)) for pair in pairs],
            }
        )  # fmt: skip
    return groups


def _trades(results: Results) -> list[Markup]:
    return [_drawn(quality_against_cost(trade)) for trade in trades(results)]


def _plots(results: Results) -> list[Markup]:
    def key(curve: Any) -> tuple[str, str]:
        return (curve.ablation or "", curve.metric)

    return [_drawn(curves_over_frames(list(group))) for _, group in groupby(sorted(results.curves, key=key), key=key)]


def _losses(store: RunStore | None, manifest: Mapping[str, Any]) -> list[Markup]:
    found = training_curves(store, manifest) if store else {}
    return [_drawn(losses(name, lines)) for name, lines in found.items()]


def _drawn(drawing: Drawing) -> Markup:
    return Markup(svg(drawing))  # matplotlib escapes the labels itself


def _sections(groups: Sequence[Mapping[str, Any]], others: Mapping[tuple[str, str], Any]) -> list[tuple[str, str]]:
    """(anchor, name) of what the page has."""
    named = [(group["id"], group["name"] if len(groups) > 1 else "Values") for group in groups]
    return [*named, *(name for name, has in others.items() if has)]


def _data(results: Results, shown: Mapping[str, Any]) -> Markup:
    """What the page's script reads; no text in it can end the element that holds it."""
    values: dict[str, dict[str, dict[int, float]]] = {}
    here = {prompt["index"] for prompt in shown["prompts"]}
    for item in results.per_clip:
        its = {index: value for index, value in finite(item.values).items() if index in here}
        values.setdefault(item.metric, {})[item.cell] = its
    document = {
        "shown": shown,
        "values": values,
        "directions": {row.metric: row.higher_is_better for row in results.rows},
        "latex": {name: latex()(replace(results, rows=rows, comparisons=pairs))
                  for name, rows, pairs in tables.grouped(results)},
    }  # fmt: skip
    text = json.dumps(document, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def _shown(manifest: Mapping[str, Any], store: RunStore | None, keep: Keep | None) -> dict[str, Any]:
    """The first requests, the cells, and the previews of their clips."""
    path = store.root / "gallery.json" if store else None
    if store is None or path is None or not path.exists():
        return {"prompts": [], "cells": [], "previews": {}}
    found = read_json(path, Gallery | list[GalleryItem])
    every = found["requests"] if isinstance(found, dict) else found
    # of several trainings the first: the later ones are overwritten
    cells = {cell["cell"]: cell["id"] for cell in reversed(manifest["cells"]) if cell["status"] == OK}
    cells = dict(reversed(cells.items()))
    requests = every[: max((WITHIN if keep is None else CLIPS) // max(len(cells), 1), 6)]
    made = previews(store, cells, requests, keep or within)
    sheets = [sheets for of_cell in made.values() for sheets in of_cell.values()]
    return {
        "prompts": requests if sheets else [],
        "cells": list(cells),
        "previews": made,
        "fps": requests[0]["fps"] if requests else 0,
        "frames": max((item["clip"]["frames"] for item in sheets), default=1),
        "masks": any("mask" in item for item in sheets),
        "steps": max((item["steps"]["number"] for item in sheets if "steps" in item), default=0),
        "size": max((min(max(item["clip"]["width"], 128), 224) for item in sheets), default=128),
        "note": f"{len(requests)} of {manifest['num_videos']} prompts. Space plays, ← and → move by a frame, a click "
        "enlarges. Previews are for looking; scores are of the exact frames in the run folder.",
    }


def _title(cell: ManifestCell) -> str:
    return cell.get("title", cell["cell"])


def _cells(manifest: Mapping[str, Any], store: RunStore | None) -> list[dict[str, str]]:
    """Each cell with what its id is the hash of."""
    found = []
    for cell in manifest.get("cells", []):
        path = store.root / "cells" / f"{cell['id']}.json" if store else None
        text = json.dumps(read_json(path), indent=2) if path is not None and path.is_file() else cell["status"]
        found.append({"id": f"cell-{cell['id']}", "cell": _title(cell), "text": f"id {cell['id']}\n{text}"})
    return found


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


def load_run(run: Path) -> tuple[Results, RunStore]:
    """The results of a finished run, or earlier ones of it (RUN/results/NAME.json); of an unfinished one, and of a
    training, what is there.

    Raises:
        UserError: no such folder, or no results in it. WorkFailed: the run is not finished.
    """
    if run.is_file() and run.parent.name == FOLDER:
        document = read_json(run)
        values = checked_csv(run.with_suffix(".csv"), document)
        return replace(Results.from_dict(document), per_clip=values), RunStore(run.parents[1], to_read=True)
    if not run.is_dir():
        what = "is a file" if run.exists() else "does not exist"
        raise UserError(f"run folder {str(run)!r} {what}; give the folder that a sweep printed")
    store = RunStore(run, to_read=True)
    if is_training(run):
        return training_results(run), store
    if not (run / "results.json").exists() and (run / PART).exists():
        return Results.from_dict(read_json(run / PART)), store
    if not (run / "results.json").exists() and (run / "manifest.json").exists():
        command = " ".join(read_json(run / "manifest.json", Manifest)["command"])
        raise WorkFailed(f"run {run} is not finished; run its command again: {command}")
    document = read_json(run / "results.json")
    results, values = Results.from_dict(document), checked_csv(run / "per_clip.csv", document)
    return replace(results, per_clip=values, notes=[*results.notes, *_unfinished(run)]), store


def _unfinished(run: Path) -> list[str]:
    """A line where more is being made, or was to be, than what the results are of."""
    path = run / "manifest.json"
    state = read_json(path).get("state", "finished") if path.is_file() else "finished"
    if state == "finished":
        return []
    return [f"{run} is not finished ({state}): these results are of an earlier end of it; run its command again"]
