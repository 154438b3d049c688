"""A sweep from its request to its results: plan → generate → describe → evaluate → compare → report.

Everything that can be wrong with the request is found while planning, before the first expensive step.
"""

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError, WorkFailed
from artv.progress import progress_bar
from artv.requests import check_seed
from artv_eval.api import ClipRequest, ProtocolCard, Task
from artv_eval.build import Recipe, build, recipe, settings_of
from artv_eval.components import KINDS
from artv_eval.decoding import Window
from artv_eval.describe import Described, check_sizes
from artv_eval.folders import bad_files_of, notes_of
from artv_eval.generate import GenerationWork, Shard, generate, pending, with_status
from artv_eval.metrics.doubts import doubts
from artv_eval.plan import READY, Assignments, Cell, ProtocolRef, SweepRequest, digest, plan_cells, with_components
from artv_eval.plugins import PluginManager
from artv_eval.results import OK, Results, reason
from artv_eval.score import (
    Metric,
    Scored,
    comparisons_of,
    curves_of,
    describe_reference,
    describe_reference_files,
    failed_clips,
    flaws_of,
    row_of,
    score_cell,
)
from artv_eval.store import SCHEMA, RunStore, write_atomically, write_json

PROTOCOLS = {"shapes": "shapes@1", "paper": "msrvtt@lavie"}
NUM_VIDEOS = {"shapes": 20}
BATCH_SIZE = {"cpu": 10, "cuda": 24}
"""Clips made at once, which are what an interruption costs; on a CPU 10 take 2 % longer a clip than 20 do."""


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """The command line of a sweep. None is the preset's or the protocol's own value."""

    request: SweepRequest
    protocol: str | None = None
    num_videos: int | None = None
    frames: int | None = None
    seed: int = 0
    metrics: tuple[str, ...] | None = None
    executor: str = "serial"
    shard: str | None = None
    batch_size: int | None = None
    device: str = "cpu"
    out: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A planned sweep with everything that was loaded to plan it."""

    manager: PluginManager
    options: SweepOptions
    protocol: ProtocolRef
    card_recipe: Recipe
    card: ProtocolCard
    requests: Sequence[ClipRequest]
    indices: list[int]
    cells: list[Cell]
    metrics: list[Metric]
    metric_recipes: list[Recipe]
    shard: Shard
    executor: Any
    executor_recipe: Recipe
    run: Path

    @property
    def runtime(self) -> dict[str, Any]:
        """Where things run."""
        return {"device": self.options.device}


def prepare(manager: PluginManager, options: SweepOptions) -> Prepared:
    """Resolves names, checks settings, loads evaluators, digests checkpoints. Makes no clip and no file.

    Raises:
        UserError: whatever is wrong with the request.
    """
    _check_numbers(options)
    check_device(options.device)
    assignments = Assignments(options.request.settings)
    shard = Shard.parse(options.shard)
    runtime = {"device": options.device}
    if options.request.preset not in PROTOCOLS:
        raise UserError(f"preset is {options.request.preset!r}; it must be one of {', '.join(PROTOCOLS)}")
    name = options.protocol or PROTOCOLS[options.request.preset]
    card_recipe = protocol_recipe(manager, name, assignments.take("protocol"))
    card = build(manager, card_recipe)
    protocol = ProtocolRef(name=card.name, hash=card.hash, frames=options.frames, seed=options.seed)
    cells = plan_cells(manager, options.request, protocol, assignments)
    metric_recipes = _metric_recipes(manager, options, card, assignments)
    executor_recipe = recipe(manager, "executors", options.executor, assignments.take("executor"))
    assignments.finish()
    executor = build(manager, executor_recipe)
    num = options.num_videos or NUM_VIDEOS.get(options.request.preset)
    requests = card.requests(num=num, frames=options.frames, seed=options.seed)
    cells = [_checked(manager, cell, runtime, options.request.preset) for cell in cells]
    return Prepared(
        manager=manager,
        options=options,
        protocol=protocol,
        card_recipe=card_recipe,
        card=card,
        requests=requests,
        indices=[request.index for request in requests],
        cells=cells,
        metrics=[metric_of(manager, item, runtime) for item in metric_recipes],
        metric_recipes=metric_recipes,
        shard=shard,
        executor=executor,
        executor_recipe=executor_recipe,
        run=options.out or default_run(options.request, cells),
    )


def check_device(device: str) -> None:
    """Raises UserError for a device that is neither a CPU nor a CUDA one, or not there."""
    import torch

    try:
        kind, index = torch.device(device).type, torch.device(device).index or 0
    except RuntimeError:
        kind, index = device, 0
    if kind not in BATCH_SIZE:
        raise UserError(f"--device is {device!r}; it must be cpu, cuda or cuda:N")
    if kind == "cuda" and index >= torch.cuda.device_count():
        raise UserError(
            f"--device is {device!r} and this machine has {torch.cuda.device_count()} GPUs; use --device cpu"
        )


def protocol_recipe(manager: PluginManager, name: str, settings: Mapping[str, Any]) -> Recipe:
    """A registered protocol, or the card in a YAML file."""
    is_file = name.endswith((".yaml", ".yml")) and ":" not in name
    return recipe(manager, "protocols", f"yaml:{name}" if is_file else name, settings)


def _check_numbers(options: SweepOptions) -> None:
    least = {
        "num-videos": (options.num_videos, 2),
        "frames": (options.frames, 2),
        "steps": (options.request.steps, 1),
        "batch-size": (options.batch_size, 1),
    }
    for name, (value, minimum) in least.items():
        if value is not None and value < minimum:
            raise UserError(f"--{name} is {value}; it must be at least {minimum}")
    check_seed(options.seed, "--seed")


def _metric_recipes(
    manager: PluginManager, options: SweepOptions, card: ProtocolCard, assignments: Assignments
) -> list[Recipe]:
    names = options.metrics if options.metrics is not None else getattr(card, "metrics", None)
    if not names:
        raise UserError(
            f"protocol {card.name!r} names no metrics; choose with --metrics: {', '.join(manager.names('metrics'))}"
        )
    fixed = getattr(card, "metric_settings", {})
    targets = [manager.target(manager.find("ablations", name)) for name in options.request.ablations]
    asked = [name for target in targets for name in getattr(target, "metrics", ())]
    return [metric_recipe(manager, name, fixed, assignments) for name in dict.fromkeys([*names, *asked])]


def metric_recipe(
    manager: PluginManager, name: str, fixed: Mapping[str, Mapping[str, Any]], assignments: Assignments
) -> Recipe:
    """A metric with what the protocol fixes and, over it, what ``--set`` says."""
    entry = manager.find("metrics", name)
    known, _ = settings_of(manager.target(entry), KINDS["metrics"])
    settings = {**fixed.get(entry.component.name, {}), **assignments.take(entry.component.name)}
    return recipe(manager, "metrics", name, with_components(settings, known, assignments))


def changed_convention(
    manager: PluginManager, made: Recipe, fixed: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The settings of a metric if ``--set`` made them other than the protocol's, else None.

    Its values then have another hash. Where weights lie makes no difference: which they are is checked by sha256.
    """
    own: Any = None
    with suppress(UserError):  # a setting that only --set gives
        own = _without_places(metric_recipe(manager, made.entry.qualified, fixed, Assignments({})).reference())
    now = _without_places(made.reference())
    return None if now == own else now


def _without_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in settings.items() if key != "weights"}
    return {key: _without_places(value) if isinstance(value, Mapping) else value for key, value in kept.items()}


def metric_of(manager: PluginManager, item: Recipe, runtime: dict[str, Any]) -> Metric:
    """The evaluator with its weights, or why it is absent: a missing weight is never replaced by something else."""
    try:
        return Metric(name=item.name, evaluator=build(manager, item, runtime))
    except UserError as error:
        return Metric(name=item.name, status=f"absent: {error}")


def _checked(manager: PluginManager, cell: Cell, runtime: dict[str, Any], preset: str) -> Cell:
    """The cell with its checkpoint's digest, or with the reason why it cannot run."""
    if cell.method is None:
        return cell
    method = build(manager, cell.method, runtime)
    reason = method.unavailable() if hasattr(method, "unavailable") else None
    if reason:
        return replace(cell, status=f"not available: {reason}", method=None)
    own = method.preset() if hasattr(method, "preset") else None
    if own is not None and own != preset:
        raise UserError(
            f"cell {cell.name}: the checkpoint is of preset {own!r} and the sweep of {preset!r}; give --preset "
            f"{own}, or another --checkpoint"
        )
    return replace(cell, checkpoint=method.digest() if hasattr(method, "digest") else None)


def default_run(request: SweepRequest, cells: Sequence[Cell]) -> Path:
    """``runs/<ablations>-<hash>``: the same command finds its own folder again."""
    names = "+".join(name.rpartition("/")[2].partition(":")[0] for name in dict.fromkeys(request.ablations))
    return Path("runs") / f"{names}-{digest([cell.id for cell in cells])[:8]}"


def run_sweep(prepared: Prepared, command: Sequence[str] = ()) -> Results | None:
    """Does the work. None when other shards' clips are still missing.

    Raises:
        WorkFailed: no cell could be generated. OSError: the folder cannot be written, the disk is full.
    """
    store = RunStore(prepared.run)
    started = time.time()
    write_json(store.root / "manifest.json", manifest(prepared, command, started=started, state="running"))
    for cell in prepared.cells:
        store.save_cell(cell.id, cell.identity())
    write_json(store.root / "gallery.json", gallery(prepared.requests))
    cells = _generate(prepared, store)
    if prepared.shard.count > 1 and _left(prepared, store, cells):
        return None
    results = _score(prepared, store, cells)
    write_results(store, results)
    finished = manifest(prepared, command, started=started, state="finished", cells=cells)
    write_json(store.root / "manifest.json", finished)
    return results


def _left(prepared: Prepared, store: RunStore, cells: Sequence[Cell]) -> bool:
    """Whether clips of other shards are still to come; one that failed there does not."""
    ready, indices = [cell.id for cell in cells if cell.status == READY], prepared.indices
    return any(set(store.missing(cell, indices)) - store.failures(cell, indices).keys() for cell in ready)


def _generate(prepared: Prepared, store: RunStore) -> list[Cell]:
    """Makes what is missing and returns the cells, those that failed marked so."""
    batch_size = prepared.options.batch_size or BATCH_SIZE[prepared.options.device.partition(":")[0]]
    tasks = pending(store, prepared.cells, prepared.indices, prepared.shard, batch_size)
    if not tasks:
        return list(prepared.cells)
    names = {cell.id: cell.name for cell in prepared.cells}
    total = sum(len(task.indices) for task in tasks)
    with progress_bar("clips", total=total) as bar:
        done = 0

        def count(task: Task, number: int) -> None:
            nonlocal done
            done += number
            bar.update(done, names[task.cell])

        counted_here: set[tuple[str, tuple[int, ...]]] = set()

        def on_clip(task: Task) -> None:
            counted_here.add((task.cell, task.indices))
            count(task, 1)

        def on_task(task: Task, number: int) -> None:
            if (task.cell, task.indices) not in counted_here:  # made in another process
                count(task, number)

        work = GenerationWork(
            manager=prepared.manager,
            protocol=prepared.card_recipe.reference(),
            num=len(prepared.requests),
            frames=prepared.options.frames,
            seed=prepared.options.seed,
            run=store.root,
            runtime={**prepared.runtime, "progress": True},
            on_clip=on_clip,
        )
        failures = generate(prepared.executor, work, tasks, on_task)
    cells = with_status(prepared.cells, failures)
    if failures and not any(cell.status == READY and not cell.sanity for cell in cells):
        raise WorkFailed(f"{next(iter(failures.values()))}; what was made is kept in {store.root}")
    return cells


def _score(prepared: Prepared, store: RunStore, cells: Sequence[Cell]) -> Results:
    scored: list[Scored] = []
    described: dict[str, Described] = {}
    references = [_reference(prepared, store, metric, described) for metric in prepared.metrics]
    with progress_bar("scores", total=len(prepared.metrics) * len(cells)) as bar:
        for metric, reference in references:
            for cell in cells:
                scored.append(score_cell(store, cell, prepared.requests, prepared.indices, metric, reference))
                bar.update(len(scored), f"{metric.name} {cell.name}")
    keys = [key for made in prepared.metric_recipes for key in [_key(prepared, made)] * len(cells)]
    with progress_bar("intervals", total=len(scored)) as bar:
        rows = []
        for item, key in zip(scored, keys, strict=True):
            rows.append(row_of(item, prepared.protocol.label, key))
            bar.update(len(rows), f"{item.evaluator.name} {item.cell.name}")
    valued = [(s.evaluator, s.rows, s.reference) for s, row in zip(scored, rows, strict=True) if row.status == OK]
    comparisons, untested = comparisons_of(scored)
    return Results(
        run=str(prepared.run),
        rows=rows,
        comparisons=comparisons,
        flaws=flaws_of(rows),
        curves=curves_of(scored),
        notes=[
            *published(prepared),
            *notes_of(described),
            *untested,
            *failed_clips(store, cells, prepared.indices),
            *doubts(valued),
        ],
        bad_files=bad_files_of(described),
    )


def _key(prepared: Prepared, made: Recipe) -> str:
    """The protocol's key, or another one for a metric whose settings were changed."""
    changed = changed_convention(prepared.manager, made, getattr(prepared.card, "metric_settings", {}))
    return prepared.protocol.key if changed is None else digest([prepared.protocol.key, changed])[:12]


def published(prepared: Prepared) -> list[str]:
    """Values from papers for the metrics of this run, to be shown beside ours."""
    names = {metric.name for metric in prepared.metrics}
    return [
        f"published: {item.metric} of {item.method} {item.value:g} ({item.source})"
        for item in getattr(prepared.card, "published", ())
        if item.metric in names
    ]


def _reference(
    prepared: Prepared, store: RunStore, metric: Metric, described: dict[str, Described]
) -> tuple[Metric, np.ndarray | None]:
    """The metric with the rows of the reference clips if it needs any; absent or failed if they cannot be described.

    ``described``: gets the reference files, with which were left out.
    """
    if metric.status != OK or "reference" not in metric.evaluator.needs:
        return metric, None
    try:
        files = prepared.card.reference_files() if hasattr(prepared.card, "reference_files") else None
        if files is not None:
            paths, window = files
            return _reference_files(prepared, store, metric, paths, window, described)
        return metric, describe_reference(store, prepared.protocol.key, prepared.card.reference(), metric.evaluator)
    except (WorkFailed, OSError):
        raise
    except Exception as error:
        return replace(metric, status=reason(error)), None


def _reference_files(
    prepared: Prepared,
    store: RunStore,
    metric: Metric,
    files: Sequence[Path],
    window: Window,
    described: dict[str, Described],
) -> tuple[Metric, np.ndarray | None]:
    with progress_bar(f"reference of {metric.name}", total=len(files)) as bar:
        found = describe_reference_files(store, prepared.protocol.key, files, window, metric.evaluator, bar.update)
    described["reference"] = found  # the same files for every metric
    first = prepared.requests[0]
    check_sizes([metric.evaluator], {**found.sizes, (first.height, first.width): Path("a generated clip")})
    status = found.withheld(getattr(prepared.card, "bad_files", 0.0), "reference")
    if status is None and len(found.files) < 2:
        status = f"absent: {len(found.files)} reference clips; at least 2 are needed"
    status = status or found.failed.get(metric.evaluator.digest)
    if status is not None:
        return replace(metric, status=status), None
    return metric, found.rows[metric.evaluator.digest]


def gallery(requests: Sequence[ClipRequest]) -> list[dict[str, Any]]:
    """The first requests, whose clips the report shows."""
    return [
        {"index": request.index, "prompt": request.prompt, "seed": request.seed, "fps": request.fps}
        for request in requests[:8]
    ]


def write_results(store: RunStore, results: Results) -> None:
    """``results.json``, ``results.csv``, ``report.html``."""
    from artv_eval.report.html import page

    write_json(store.root / "results.json", results.to_dict())
    write_atomically(store.root / "results.csv", results.csv().encode())
    write_atomically(store.root / "report.html", page(results, store).encode())


def manifest(
    prepared: Prepared,
    command: Sequence[str],
    *,
    started: float,
    state: str,
    cells: Sequence[Cell] | None = None,
) -> dict[str, Any]:
    """How every number was made: versions, command, protocol, cells, components with their distributions."""
    methods = [cell.method for cell in prepared.cells if cell.method]
    recipes = [prepared.card_recipe, *methods, *prepared.metric_recipes, prepared.executor_recipe]
    provenance = [prepared.manager.find("ablations", name).provenance() for name in prepared.options.request.ablations]
    provenance += [item for made in recipes for item in made.provenance()]
    used = {tuple(sorted(item.items())): item for item in provenance}
    return {
        "schema": SCHEMA,
        "state": state,
        "command": list(command),
        "started": _timestamp(started),
        "finished": _timestamp(time.time()) if state == "finished" else None,
        "versions": versions(),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "device": prepared.options.device},
        "protocol": {
            "name": prepared.protocol.name,
            "hash": prepared.protocol.hash,
            "key": prepared.protocol.key,
            "frames": prepared.protocol.frames,
            "seed": prepared.protocol.seed,
        },
        "num_videos": len(prepared.requests),
        "shard": f"{prepared.shard.index}/{prepared.shard.count}",
        "cells": [
            {
                "id": cell.id,
                "ablation": cell.ablation,
                "cell": cell.name,
                "status": cell.status,
                "sanity": cell.sanity,
                **cell.identity(),
            }
            for cell in (cells or prepared.cells)
        ],
        "metrics": [
            {"name": metric.name, "digest": getattr(metric.evaluator, "digest", None), "status": metric.status}
            for metric in prepared.metrics
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


def versions() -> dict[str, str]:
    """Of Python and of the packages that numbers may depend on."""
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
