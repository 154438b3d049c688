"""Whether what a run says of itself is what its plan gives again, and what lies in its folder."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv.files import read_bytes
from artv_eval.results.documents import read_json
from artv_eval.results.rows import Results
from artv_eval.results.store import RunStore
from artv_eval.sweep.check import Check
from artv_eval.sweep.manifest import gallery, manifest
from artv_eval.sweep.plan import READY
from artv_eval.sweep.prepare import Prepared
from artv_eval.sweep.provenance import NOT_NOTED, made_on

CELL = ("ablation", "cell", "title", "sanity", "ran", "method", "protocol", "checkpoint")
TRAINING = ("id", "seed", "steps", "trainer", "settings")
PROTOCOL = ("name", "hash", "frames", "seed", "seeds_per_prompt")


def manifest_checks(prepared: Prepared, store: RunStore, said: Mapping[str, Any]) -> Iterator[Check]:
    """A check of what the manifest says of the whole, and one for each cell."""
    now = json.loads(json.dumps(manifest(prepared, [], started=0, state="running")))
    whole = _other(said["protocol"], now["protocol"], PROTOCOL) or _other(said, now, ("num_videos",))
    yield Check(what="manifest: protocol and number of clips", same=not whole, why=whole)
    wanted, there = {cell["id"]: cell for cell in now["cells"]}, {cell["id"]: cell for cell in said["cells"]}
    for cell in said["cells"]:
        why = "planned again it has another id: a checkpoint, a setting or a component's version is another now"
        if (its := wanted.get(cell["id"])) is not None:
            why = _other(cell, its, CELL) or _other(cell["training"] or {}, its["training"] or {}, TRAINING)
            why = why or _noted(prepared, store, cell)
        yield Check(what=f"cell {cell['title']} ({cell['id']})", same=not why, why=why)
    for key in wanted.keys() - there.keys():
        why = "the plan has this cell, and the manifest has not"
        yield Check(what=f"cell {wanted[key]['title']} ({key})", same=False, why=why)


def table_checks(prepared: Prepared, results: Results) -> Iterator[Check]:
    """The files that show what ``results.json`` holds."""
    texts = {"results.csv": results.csv(), "comparisons.csv": results.comparisons_csv()}
    for name, text in texts.items():
        place = prepared.run / name
        there = read_bytes(place).decode("utf-8", "replace") if place.is_file() else ""
        why = "it is not what results.json holds; run the sweep again"
        yield Check(what=name, same=_same_table(there, text), why=why)
    shown = json.loads(json.dumps(gallery(prepared.requests)))
    why = "its prompts or seeds are not those of the protocol; run the sweep again"
    yield Check(what="gallery.json", same=_document(prepared.run / "gallery.json") == shown, why=why)


def _same_table(there: str, now: str) -> bool:
    """Whether the columns that are there hold what they should: older versions wrote fewer of them."""
    try:
        said, rows = (list(csv.reader(io.StringIO(text, newline=""), strict=True)) for text in (there, now))
    except csv.Error:
        return False
    if not said or not set(said[0]) <= set(rows[0]):
        return False
    places = [rows[0].index(name) for name in said[0]]
    return said == [[row[place] for place in places] for row in rows]


def _noted(prepared: Prepared, store: RunStore, cell: Mapping[str, Any]) -> str:
    """What lies in the folder otherwise than the manifest says."""
    key, link = cell["id"], prepared.run / "clips" / cell["id"]
    if link.is_symlink() and cell.get("maker") and link.readlink().suffix != f".{cell['maker']}":
        return f"maker: {cell['maker']} in the manifest, and its clips are by {link.readlink().suffix[1:]}"
    if cell["status"] == READY and cell.get("made_on") is not None:
        noted = made_on(store, key, prepared.indices)
        # a copy of a run folder has no notes, which lie in the store
        if any(where != NOT_NOTED and clips > cell["made_on"].get(where, 0) for where, clips in noted.items()):
            return f"made_on: {cell['made_on']} in the manifest, {noted} noted beside the clips"
    identity = {name: cell[name] for name in ("method", "protocol", "checkpoint")}
    if _document(prepared.run / "cells" / f"{key}.json") != identity:
        return f"cells/{key}.json is not what the manifest says"
    return ""


def _document(path: Path) -> Any:
    try:
        return read_json(path)
    except UserError:
        return None


def _other(said: Mapping[str, Any], now: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of these fields that is another, in words."""
    for name in names:
        if said.get(name) != now.get(name):
            return f"{name}: {said.get(name)} in the manifest, {now.get(name)} planned again"
    return ""
