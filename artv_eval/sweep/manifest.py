"""What a run's folder says about how its numbers were made, and the files that show them."""

import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from artv.errors import describe_os_error, in_one_line
from artv.files import write_text_atomically
from artv_eval.api import ClipRequest
from artv_eval.extras import ProtocolExtras, optional
from artv_eval.plugins.digests import digest
from artv_eval.plugins.recipe import plain
from artv_eval.results.documents import write_json
from artv_eval.results.per_clip import PER_CLIP, as_csv, text_digest
from artv_eval.results.rows import Results
from artv_eval.results.store import PART, SCHEMA, SHOWN, DamagedClip, RunStore
from artv_eval.sweep.kept_in import makers
from artv_eval.sweep.plan import READY, Cell
from artv_eval.sweep.prepare import Prepared
from artv_eval.sweep.provenance import git_states, hardware, made_on, requests_digest
from artv_eval.twins.store import TwinStore

FRAMES, FEWEST = 8192, 6  # that the report shows of a cell, and clips however long


def manifest(
    prepared: Prepared,
    command: Sequence[str],
    *,
    started: float,
    state: str,
    cells: Sequence[Cell] | None = None,
    store: RunStore | None = None,
    seconds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """How every number was made: versions, command, protocol, cells, components with their distributions.

    Args:
        store: of a sweep that has ended: says on what its clips were made.
        seconds: what each part of it took.
    """
    methods = [cell.method for cell in prepared.cells if cell.method]
    trainers = [cell.training.trainer for cell in prepared.cells if cell.training]
    recipes = [prepared.card_recipe, *methods, *trainers, *prepared.metric_recipes, prepared.executor_recipe]
    provenance = [prepared.manager.find("ablations", name).provenance() for name in prepared.options.request.ablations]
    provenance += [item for made in recipes for item in made.provenance()]
    made_by = makers(prepared)
    used = {tuple(sorted(item.items())): item for item in provenance}
    return {
        "schema": SCHEMA,
        "state": state,
        "command": list(command),
        "plan": dict(prepared.options.plan),
        "git": git_states(),
        "started": _timestamp(started),
        "finished": _timestamp(time.time()) if state == "finished" else None,
        "versions": versions(),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "device": prepared.options.device,
            "hardware": hardware(prepared.options.device)["device"],
        },
        "seconds": dict(seconds or {}),
        "protocol": {
            "name": prepared.protocol.name,
            "hash": prepared.protocol.hash,
            "key": prepared.protocol.key,
            "frames": prepared.protocol.frames,
            "seed": prepared.protocol.seed,
            "seeds_per_prompt": optional(prepared.card, ProtocolExtras, "seeds_per_prompt"),
            "requests": requests_digest(prepared.requests) if store else None,
        },
        "num_videos": len(prepared.requests),
        "shard": f"{prepared.shard.index}/{prepared.shard.count}",
        "cells": [
            {
                "id": cell.id,
                "ablation": cell.ablation,
                "cell": cell.name,
                "title": cell.title,
                "status": cell.status,
                "sanity": cell.sanity,
                "training": _training(cell, prepared),
                "ran": dict(cell.ran),
                "maker": made_by.get(cell.id),
                "made_on": made_on(store, cell.id, prepared.indices) if store and cell.status == READY else None,
                **cell.identity(),
            }
            for cell in (cells or prepared.cells)
        ],
        "metrics": [
            {
                "name": metric.name,
                "digest": metric.evaluator.digest if metric.evaluator else None,
                "status": metric.status,
                "recipe": plain(made.named()),
            }
            for metric, made in zip(prepared.metrics, prepared.metric_recipes, strict=True)
        ],
        "components": list(used.values()),
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "status": plugin.status,
                "error": plugin.error,
            }
            for plugin in prepared.manager.plugins
        ],
    }


def _training(cell: Cell, prepared: Prepared) -> dict[str, Any] | None:
    """How the cell's model was made: by whom, from which settings, how long it took and on what."""
    options = prepared.options.train
    if cell.training is None or options is None:
        return None
    training = cell.training
    return {
        "id": training.id,
        "seed": training.seed,
        "steps": training.steps,
        "trainer": training.trainer.to_dict(),
        "settings": plain(training.settings),
        **(TwinStore(options.store).finished(training.id) or {}),
    }


def gallery(requests: Sequence[ClipRequest]) -> dict[str, Any]:
    """The first requests, whose clips the report shows; of long ones fewer: a frame takes 10 ms and 10 kB there."""
    count = min(SHOWN, max(FEWEST, FRAMES // requests[0].num_frames)) if requests else 0
    items = [
        {"index": request.index, "prompt": request.prompt, "seed": request.seed, "fps": request.fps}
        for request in requests[:count]
    ]
    return {"requests": items}


def write_results(store: RunStore, results: Results, of: str) -> None:
    """``results.json``: all that was found. What it held of other clips, metrics or settings is kept beside.

    Args:
        of: digest of all that the values are of, as :func:`results_of` gives it.
    """
    from artv_eval.report.findings import findings_of, plain
    from artv_eval.results.kept import OF, keep_before

    told = {OF: of, PER_CLIP: text_digest(as_csv(results.per_clip))}
    keep_before(store.root, {**results.to_dict(), **told})
    write_json(store.root / "results.json", {**results.to_dict(), **told, "findings": plain(findings_of(results))})
    (store.root / PART).unlink(missing_ok=True)


def results_of(prepared: Prepared) -> str:
    """What the results of a sweep are of, beside what its rows say: cells with all their settings, and metrics."""
    cells = sorted([cell.ablation, cell.title, cell.id] for cell in prepared.cells)
    metrics = sorted([item.title, str(item.evaluator and item.evaluator.digest)] for item in prepared.metrics)
    return digest([cells, metrics])[:16]


def write_part(store: RunStore, results: Results) -> None:
    """Keeps what is there of a scoring that goes on, for whoever finds the folder after it was killed."""
    write_json(store.root / PART, results.to_dict())


def write_views(store: RunStore, results: Results) -> Iterator[str]:
    """The same for other programs and for the eye; a line for each file that could not be made, whatever the reason.

    Raises:
        DamagedClip: of a clip that was to be shown.
    """

    def page() -> str:
        from artv_eval.report.html import page
        from artv_eval.report.previews import beside

        return page(results, store, beside(store.root))

    views = {
        "results.csv": results.csv,
        "comparisons.csv": results.comparisons_csv,
        "per_clip.csv": lambda: as_csv(results.per_clip),
        "report.html": page,
    }
    for name, made in views.items():
        try:
            write_text_atomically(store.root / name, made())
        except DamagedClip:
            raise
        except Exception as error:
            yield f"{name} could not be made ({_why(error)}); the results are in {store.root / 'results.json'}"


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return describe_os_error(error)
    return in_one_line(error)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers may depend on."""
    import importlib.metadata

    names = ("artv", "torch", "torchvision", "diffusers", "open_clip_torch", "transformers", "numpy", "scipy")
    found = {"python": sys.version.split()[0]}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
