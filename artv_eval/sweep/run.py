"""A sweep from its request to its results: prepare → generate → describe → evaluate → compare → report.

Everything that can be wrong with the request is found by :mod:`artv_eval.sweep.prepare`, before the first expensive
step.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from artv.errors import WorkFailed
from artv.files import write_text_atomically
from artv.progress import progress_bar
from artv_eval.api import Task
from artv_eval.extras import ProtocolExtras, optional
from artv_eval.files.decoding import Excerpt
from artv_eval.files.describe import Described, check_sizes
from artv_eval.files.score import bad_files_of, notes_of
from artv_eval.metrics.doubts import caption_doubts, doubts
from artv_eval.plugins.digests import digest
from artv_eval.plugins.recipe import Recipe
from artv_eval.report.by_label import as_csv
from artv_eval.results.documents import write_json
from artv_eval.results.rows import OK, Results, features_lines, reason
from artv_eval.results.store import DamagedClip, RunStore
from artv_eval.sweep.devices import BATCH_SIZE
from artv_eval.sweep.generate import GenerationWork, generate, pending, with_status
from artv_eval.sweep.manifest import gallery, manifest, write_results, write_views
from artv_eval.sweep.metric_recipes import Conventions, changed_convention
from artv_eval.sweep.over_seeds import lost_seeds, replicates
from artv_eval.sweep.plan import READY, Cell
from artv_eval.sweep.prepare import Prepared
from artv_eval.sweep.ran import lines as what_ran
from artv_eval.sweep.ran import same_clips
from artv_eval.sweep.score_cells import (
    Metric,
    Scored,
    describe_reference,
    describe_reference_files,
    failed_clips,
    score_cell,
)
from artv_eval.sweep.summaries import comparisons_of, curves_of, flaws_of, per_clip_of, row_of, spreads_of
from artv_eval.sweep.trainings import claim_twin, train


def run_sweep(
    prepared: Prepared, command: Sequence[str] = (), on_results: Callable[[Results], object] = lambda results: None
) -> Results | None:
    """Does the work. None when other shards' clips are still missing.

    Args:
        on_results: called once they are stored, before anything is made of them that could fail.

    Raises:
        WorkFailed: no cell could be generated. OSError: the folder cannot be written, the disk is full.
    """
    store = RunStore(prepared.run)
    store.remove_leftovers()
    started = time.time()
    write_json(store.root / "manifest.json", manifest(prepared, command, started=started, state="running"))
    for cell in prepared.cells:
        store.save_cell(cell.id, cell.identity())
    write_json(store.root / "gallery.json", gallery(prepared.requests))
    prepared = _trained(prepared, store)
    cells, results = _results(prepared, store, on_results)
    if results is not None:
        finished = manifest(prepared, command, started=started, state="finished", cells=cells)
        write_json(store.root / "manifest.json", finished)
    return results


def _results(
    prepared: Prepared, store: RunStore, on_results: Callable[[Results], object], *, heal: bool = True
) -> tuple[list[Cell], Results | None]:
    """Makes what is missing and scores it. Where a stored clip proves damaged all are checked, once, and made again."""
    cells = _generate(prepared, store)
    if prepared.shard.count > 1 and _left(prepared, store, cells):
        return cells, None
    try:
        results = _score(prepared, store, cells)
        write_results(store, results)
        if labels := as_csv(prepared.requests):
            write_text_atomically(store.root / "labels.csv", labels)
        on_results(results)
        for line in write_views(store, results):
            print(f"artv-eval: {line}", file=sys.stderr)
    except DamagedClip as error:
        if not heal:
            raise
        print(f"{error.what}; it is set aside and made again", file=sys.stderr)
        for cell in cells:
            store.set_aside_damaged(cell.id, prepared.indices)
        return _results(prepared, store, on_results, heal=False)
    return cells, results


def _trained(prepared: Prepared, store: RunStore) -> Prepared:
    """With the twins that its cells need; a cell whose training failed is marked so."""
    options = prepared.options.train
    if options is None:
        return prepared
    cells = train(prepared.manager, prepared.executor, prepared.cells, options, prepared.options.device)
    for cell in cells:
        if cell.training is not None and cell.status == READY:
            claim_twin(store, cell, options)
    return replace(prepared, cells=cells)


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
            frames=prepared.protocol.frames,
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
    keys = [_key(prepared, made) for made in prepared.metric_recipes for _ in cells]
    key_of = {item.evaluator.name: key for item, key in zip(scored, keys, strict=True)}
    groups = replicates(scored)
    with progress_bar("intervals", total=len(groups)) as bar:
        rows = []
        for group in groups:
            name = group.first.evaluator.name
            rows.append(row_of(group, prepared.protocol.label, key_of[name]))
            bar.update(len(rows), f"{name} {group.first.cell.name}")
    good = [group for group, row in zip(groups, rows, strict=True) if row.status == OK]
    there = [item for group in good for item in group.there]
    valued = [(item.evaluator, item.rows, item.reference) for item in there]
    comparisons, untested = comparisons_of(good)
    prompts = (request.prompt for request in prepared.requests)
    return Results(
        run=str(prepared.run),
        rows=rows,
        comparisons=comparisons,
        flaws=flaws_of(rows),
        curves=curves_of(good),
        per_clip=per_clip_of(there, prepared.indices),
        notes=[
            *what_ran(cells),
            *features_lines(rows),
            *same_clips(store, cells, prepared.indices),
            *published(prepared),
            *notes_of(described),
            *untested,
            *lost_seeds(groups),
            *spreads_of(comparisons),
            *failed_clips(store, cells, prepared.indices),
            *caption_doubts([evaluator for evaluator, _, _ in valued], prompts),
            *doubts(valued),
        ],
        bad_files=bad_files_of(described),
    )


def _key(prepared: Prepared, made: Recipe) -> str:
    """The protocol's key, or another one for a metric whose settings were changed."""
    changed = changed_convention(prepared.manager, made, Conventions.of(prepared.card))
    return prepared.protocol.key if changed is None else digest([prepared.protocol.key, changed])[:12]


def published(prepared: Prepared) -> list[str]:
    """Values from papers for the metrics of this run, to be shown beside ours."""
    names = {metric.name for metric in prepared.metrics}
    return [
        f"published: {item.metric} of {item.method} {item.value:g} ({item.source})"
        for item in optional(prepared.card, ProtocolExtras, "published")
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
        files = optional(prepared.card, ProtocolExtras, "reference_files")()
        if files is not None:
            paths, excerpt = files
            return _reference_files(prepared, store, metric, paths, excerpt, described)
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
    excerpt: Excerpt,
    described: dict[str, Described],
) -> tuple[Metric, np.ndarray | None]:
    with progress_bar(f"reference of {metric.name}", total=len(files)) as bar:
        found = describe_reference_files(store, prepared.protocol.key, files, excerpt, metric.evaluator, bar.update)
    described["reference"] = found  # the same files for every metric
    first = prepared.requests[0]
    check_sizes([metric.evaluator], {**found.sizes, (first.height, first.width): Path("a generated clip")})
    status = found.withheld(optional(prepared.card, ProtocolExtras, "bad_files"), "reference")
    if status is None and len(found.files) < 2:
        status = f"absent: {len(found.files)} reference clips; at least 2 are needed"
    status = status or found.failed.get(metric.evaluator.digest)
    if status is not None:
        return replace(metric, status=status), None
    return metric, found.rows[metric.evaluator.digest]
