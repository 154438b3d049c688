"""A sweep from its request to its results: prepare → generate → describe → evaluate → compare → report.

Everything that can be wrong with the request is found by :mod:`artv_eval.sweep.prepare`, before the first expensive
step.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from artv.files import write_text_atomically
from artv.progress import progress_bar
from artv_eval.api import Task
from artv_eval.report.by_label import as_csv
from artv_eval.results.documents import write_json
from artv_eval.results.noted_runs import note_run
from artv_eval.results.rows import Results
from artv_eval.results.shared_store import SharedStore
from artv_eval.results.store import DamagedClip, RunStore
from artv_eval.sweep.devices import BATCH_SIZE
from artv_eval.sweep.generate import GenerationWork, generate, pending, with_status
from artv_eval.sweep.kept_in import refer
from artv_eval.sweep.manifest import gallery, manifest, results_of, write_part, write_results, write_views
from artv_eval.sweep.plan import READY, Cell
from artv_eval.sweep.prepare import Prepared
from artv_eval.sweep.score import Scoring
from artv_eval.sweep.trainings import check_weights, claim_twin, failed_before, not_needed, train
from artv_eval.sweep.where import scored_here, sees_folder
from artv_eval.twins.store import TwinStore


def run_sweep(
    prepared: Prepared, command: Sequence[str] = (), on_results: Callable[[Results], object] = lambda results: None
) -> Results | None:
    """Does the work. None when other shards' clips are still missing.

    Args:
        on_results: called once they are stored, before anything is made of them that could fail.

    Raises:
        OSError: the folder cannot be written, the disk is full.
    """
    store = RunStore(prepared.run, shared=SharedStore(prepared.store))
    store.identify()
    refer(prepared, store)
    store.remove_leftovers()
    if prepared.options.retry_failed:
        store.forget_faults([*prepared.ids()])
    started = time.time()
    write_json(store.root / "manifest.json", manifest(prepared, command, started=started, state="running"))
    for cell in prepared.cells:
        store.save_cell(cell.id, cell.identity())
    write_json(store.root / "gallery.json", gallery(prepared.requests))
    took: dict[str, float] = {}
    shared = sees_folder(prepared, store)
    with _timed(took, "trainings"):
        prepared = _trained(prepared, store)
    cells, results = _results(prepared, store, on_results, took, shared=shared)
    if results is not None:
        finished = manifest(
            prepared, command, started=started, state="finished", cells=cells, store=store, seconds=took
        )
        write_json(store.root / "manifest.json", finished)
    return results


def _results(
    prepared: Prepared,
    store: RunStore,
    on_results: Callable[[Results], object],
    took: dict[str, float],
    *,
    shared: bool,
    heal: bool = True,
) -> tuple[list[Cell], Results | None]:
    """Makes what is missing and scores it. Where a stored clip proves damaged all are checked, once, and made again."""
    with _timed(took, "clips"):
        cells = _generate(prepared, store)
    if prepared.shard.count > 1 and _left(prepared, store, cells):
        return cells, None
    try:
        with _timed(took, "scores"):
            whoever = prepared if shared else scored_here(prepared)
            results = Scoring(whoever, store, cells, partial(write_part, store)).results()
        write_results(store, results, results_of(prepared))
        on_results(results)
        if labels := as_csv(prepared.requests):
            write_text_atomically(store.root / "labels.csv", labels)
        for line in write_views(store, results):
            print(f"artv-eval: {line}", file=sys.stderr)
    except DamagedClip as error:
        if not heal:
            raise
        print(f"{error.what}; it is set aside and made again", file=sys.stderr)
        for cell in cells:
            store.set_aside_damaged(cell.id, prepared.indices)
        return _results(prepared, store, on_results, took, shared=shared, heal=False)
    return cells, results


@contextmanager
def _timed(took: dict[str, float], part: str) -> Iterator[None]:
    """Adds the seconds of the block to a part of the run."""
    started = time.monotonic()
    yield
    took[part] = round(took.get(part, 0.0) + time.monotonic() - started, 3)


def _trained(prepared: Prepared, store: RunStore) -> Prepared:
    """With the twins that its cells need; a cell whose training failed is marked so."""
    options = prepared.options.train
    if options is None:
        return prepared
    twins, device = TwinStore(options.store), prepared.options.device
    done = not_needed(store, twins, prepared.cells, prepared.shard.part(prepared.indices))
    needed = [cell for cell in prepared.cells if cell.training and cell.training.id not in done]
    before = failed_before(store, twins, needed)
    for key in {cell.training.id for cell in needed if cell.training} - before.keys():
        note_run(twins.notes(key), store.root)  # before hours of training: gc removes what nobody noted
    trained, faults = train(prepared.manager, prepared.executor, needed, options, device, before)
    for key, fault in faults.items():
        store.save_fault(key, fault.error, fault.trace)
    ready, ours = [cell for cell in trained if cell.status == READY], prepared.shard.part(prepared.indices)
    making = {cell.training.id: cell for cell in ready if cell.training and store.missing(cell.id, ours)}
    for cell in making.values():
        check_weights(twins, cell)
    for cell in ready:
        claim_twin(prepared.manager, store, cell, options)
    now = {id(cell): after for cell, after in zip(needed, trained, strict=True)}
    cells = [now.get(id(cell), cell) for cell in prepared.cells]
    prepared = replace(prepared, cells=cells)
    refer(prepared, store)
    return prepared


def _left(prepared: Prepared, store: RunStore, cells: Sequence[Cell]) -> bool:
    """Whether clips of other shards are still to come; one that failed there does not."""
    ready, indices = [cell.id for cell in cells if cell.status == READY], prepared.indices
    return any(set(store.missing(cell, indices)) - store.failures(cell, indices).keys() for cell in ready)


def _generate(prepared: Prepared, store: RunStore) -> list[Cell]:
    """Makes what is missing and returns the cells, those that failed marked so."""
    batch_size = prepared.options.batch_size or BATCH_SIZE[prepared.options.device.partition(":")[0]]
    tasks = pending(store, prepared.cells, prepared.indices, prepared.shard, batch_size)
    if not tasks:
        return failed_cells(prepared, store)
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
            protocol=prepared.card_recipe.named(),
            num=len(prepared.requests),
            frames=prepared.protocol.frames,
            seed=prepared.options.seed,
            run=store.root,
            runtime={**prepared.runtime, "progress": True},
            on_clip=on_clip,
        )
        faults = generate(prepared.executor, work, tasks, on_task)
    for key, fault in faults.items():
        struck = [prepared.indices[position] for position in fault.positions]
        store.save_fault(key, fault.first.error, fault.first.trace, struck=struck)
    return failed_cells(prepared, store)


def failed_cells(prepared: Prepared, store: RunStore) -> list[Cell]:
    """The cells, those of which a fault has left clips unmade marked so; another run may have made them since."""
    ready = [cell.id for cell in prepared.cells if cell.status == READY and store.struck(cell.id, prepared.indices)]
    return with_status(prepared.cells, {cell: store.fault(cell) or "" for cell in ready})
