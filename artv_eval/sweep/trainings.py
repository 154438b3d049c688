"""The trainings of a plan: which models its cells need, what they will cost, and making those that are not there.

A cell that is trained becomes several, one for each training seed and length; they share its name and are one row.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from artv.errors import UserError, counted
from artv.progress import progress_bar
from artv_eval.api import Executor, FailedTask, Task
from artv_eval.extras import TrainerExtras, optional
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import Recipe, Typed, build, recipe, settings_of
from artv_eval.results.documents import read_json, write_json
from artv_eval.results.store import RunStore
from artv_eval.sweep.assignments import Assignments
from artv_eval.sweep.plan import Cell, SweepRequest
from artv_eval.twins.store import TwinStore, folder_digest
from artv_eval.twins.training import Training
from artv_eval.twins.work import Elsewhere, TrainingWork

STORE = Path("runs") / "twins"


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What a sweep trains.

    Args:
        seeds: training seeds 1 to this number, for every cell that is trained.
        steps: lengths of training; empty for the trainer's own.
        store: folder of the twins, shared by sweeps.
    """

    seeds: int = 1
    steps: tuple[int, ...] = ()
    store: Path = STORE

    def check(self) -> None:
        """Raises UserError for what cannot be trained."""
        if self.seeds < 1:
            raise UserError(f"--train-seeds is {self.seeds}; it must be at least 1, and 2 or more to test a method")
        if any(steps < 1 for steps in self.steps) or len(set(self.steps)) < len(self.steps):
            shown = ",".join(map(str, self.steps))
            raise UserError(f"--train-steps is {shown}; give different numbers of at least 1, for example 1000,2000")


def trained_cells(
    manager: PluginManager,
    cells: Sequence[Cell],
    options: TrainOptions,
    preset: str,
    assignments: Assignments,
    device: str,
) -> list[Cell]:
    """The cells, those that are trained once for each length and seed.

    Raises:
        UserError: a training setting that does not exist or does not fit.
    """
    options.check()
    base = training_settings(assignments)
    found = []
    for cell in cells:
        if cell.wanted is None or cell.method is None:
            found.append(cell)
            continue
        made = _trainer(manager, cell.trainer, preset, assignments)
        trainer, changes = build(manager, made, {"device": device}), merged(base, cell.wanted)
        for steps in options.steps or (None,):
            for seed in range(1, options.seeds + 1):
                settings = trainer.settings(changes, seed=seed, steps=steps)
                training = Training(trainer=made, changes=changes, settings=settings, seed=seed, steps=steps)
                found.append(_with_model(cell, training, options, several=len(options.steps) > 1))
    if not any(cell.training for cell in found):
        raise UserError("--train: no cell of these ablations is trained; leave --train out, or choose mask or anchor")
    return found


def check_untrained(cells: Sequence[Cell], request: SweepRequest) -> None:
    """Raises UserError for a cell that only a training can make, where nothing is to be trained."""
    base = request.checkpoint or request.preset
    for cell in cells:
        if cell.wanted and cell.method and cell.method.settings.get("checkpoint") == base:
            changed = ", ".join(f"{key}={value}" for key, value in cell.wanted.items())
            raise UserError(
                f"ablation {cell.ablation!r} compares models trained in other ways (cell {cell.name}: {changed}); add "
                "--train, and --train-seeds 3 or more to say something about the method"
            )


def _trainer(manager: PluginManager, name: str, preset: str, assignments: Assignments) -> Recipe:
    """The cell's, or the one of ``--set trainer.name=…``."""
    name = str(assignments.take("trainer", {"name": None}).get("name", name))
    known, _ = settings_of(manager.target(manager.find("trainers", name)), KINDS["trainers"])
    settings = {"preset": preset} if "preset" in known else {}
    return recipe(manager, "trainers", name, {**settings, **assignments.take("trainer", known)})


def _with_model(cell: Cell, training: Training, options: TrainOptions, *, several: bool) -> Cell:
    assert cell.method is not None
    checkpoint = str(TwinStore(options.store).checkpoint(training.id))
    method = replace(cell.method, settings={**cell.method.settings, "checkpoint": checkpoint})
    name = f"{cell.name} @{training.steps}" if several else cell.name
    changes = ", ".join(f"{key}={value}" for key, value in (cell.wanted or {}).items())
    trained = f"trained with {changes}" if changes else "trained as the preset says"
    return replace(
        cell,
        name=name,
        method=method,
        training=training,
        seed=training.seed,
        length=training.steps,
        ran={**cell.ran, "checkpoint": trained + (f" for {training.steps} steps" if several else "")},
    )


def training_settings(assignments: Assignments) -> dict[str, Any]:
    """What ``--set training.FIELD`` and ``--set training.model.FIELD`` say."""
    found: dict[str, Any] = {}
    for component in ("training", "training.model"):
        fields = {k: v.read() if isinstance(v, Typed) else v for k, v in assignments.take(component).items()}
        found = merged(found, fields if component == "training" else {"model": fields} if fields else {})
    return found


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` over it, mappings field by field."""
    result = dict(base)
    for key, value in changes.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A training as the plan shows it. ``minutes``: estimated, on one device; None: not known.

    ``finished``: it, or all that it was for, is there. ``failed``: why it is not tried again, if it is not.
    """

    training: Training
    cells: tuple[str, ...]
    finished: bool
    minutes: float | None
    bytes: int | None
    failed: str | None = None

    @property
    def left(self) -> bool:
        """Whether it is to be done."""
        return not self.finished and self.failed is None


def planned(
    manager: PluginManager, cells: Sequence[Cell], store: TwinStore, device: str, before: Mapping[str, str]
) -> list[Planned]:
    """The trainings of the cells, each once; ``before``: training id → what it failed of."""
    names: dict[str, list[str]] = {}
    trainings = {cell.training.id: cell.training for cell in cells if cell.training is not None}
    for cell in cells:
        if cell.training is not None:
            names.setdefault(cell.training.id, []).append(cell.name)
    found = []
    for key, training in trainings.items():
        trainer = build(manager, training.trainer, {"device": device})
        minutes, size = optional(trainer, TrainerExtras, "cost")(training.settings)
        found.append(
            Planned(
                training=training,
                cells=tuple(dict.fromkeys(names[key])),
                finished=store.finished(key) is not None,
                minutes=minutes,
                bytes=size,
                failed=before.get(key),
            )
        )
    return found


def failed_before(run: RunStore, twins: TwinStore, cells: Sequence[Cell]) -> dict[str, str]:
    """Training id → what it failed of in this run; not of one that another run made since."""
    ids = {cell.training.id for cell in cells if cell.training}
    return {key: why for key in ids if (why := run.fault(key)) and twins.finished(key) is None}


def not_needed(run: RunStore, twins: TwinStore, cells: Sequence[Cell], indices: Sequence[int]) -> set[str]:
    """Ids of trainings whose models are not there, while all clips of them are, and notes of which weights made them:
    of a merge on another machine, or of models that were removed.
    """
    absent = {key for cell in cells if cell.training and twins.finished(key := cell.training.id) is None}
    left = {
        cell.training.id
        for cell in cells
        if cell.training and cell.training.id in absent
        if not twin_note(run, cell).is_file() or run.missing(cell.id, indices)
    }
    return absent - left


def twin_note(run: RunStore, cell: Cell) -> Path:
    """Where a run says which weights the clips of a cell are of."""
    return run.root / "cells" / f"{cell.id}.twin.json"


def train(
    manager: PluginManager,
    executor: Executor,
    cells: Sequence[Cell],
    options: TrainOptions,
    device: str,
    before: Mapping[str, str],
) -> tuple[list[Cell], dict[str, FailedTask]]:
    """Makes the twins that are not there. Returns the cells, those whose training failed marked so, and the new faults.

    Args:
        before: training id → what it failed of; it is not tried again.

    Raises:
        UserError: no room for the trainings.
    """
    store = TwinStore(options.store)
    left = [item for item in planned(manager, cells, store, device, before) if item.left]
    if not left:
        return [_marked(cell, before) for cell in cells], {}
    check_room(left, store)
    tasks = []
    for item in left:
        store.begin(item.training)
        method = {**item.training.trainer.named(), "training": item.training.settings}
        tasks.append(Task(cell=item.training.id, method=method, indices=()))
    faults: dict[str, FailedTask] = {}
    with _progress(manager, left, store, device):
        for wait in (False, True):  # first what nobody trains: other shards begin with the same
            work = TrainingWork(manager=manager, store=options.store, runtime={"device": device}, wait=wait)
            answers = list(executor.run(work, tasks))
            faults |= {task.cell: failed for task, failed in answers if isinstance(failed, FailedTask)}
            tasks = [task for task, answer in answers if isinstance(answer, Elsewhere)]
    failures = {**before, **{key: fault.error for key, fault in faults.items()}}
    return [_marked(cell, failures) for cell in cells], faults


def _marked(cell: Cell, failures: Mapping[str, str]) -> Cell:
    if cell.training is None or cell.training.id not in failures:
        return cell
    return replace(cell, status=f"failed: training with seed {cell.seed}: {failures[cell.training.id]}")


def claim_twin(manager: PluginManager, run: RunStore, cell: Cell, options: TrainOptions) -> None:
    """Notes which weights a cell's clips are of, and how their training went.

    Raises:
        UserError: clips of the run are of a twin that was trained again since, and training need not repeat itself.
    """
    assert cell.training is not None
    weights = (TwinStore(options.store).finished(cell.training.id) or {}).get("digest")
    note = twin_note(run, cell)
    if note.exists() and (kept := read_json(note)["digest"]) != weights:
        raise UserError(
            f"the clips of {cell.name}, seed {cell.seed}, in {run.root} are of other weights ({kept}) than the twin in "
            f"{options.store} has now ({weights}); give another --out, or the store that they came from with --twins"
        )
    trainer = build(manager, cell.training.trainer)
    curves = optional(trainer, TrainerExtras, "curves")(TwinStore(options.store).folder(cell.training.id))
    thinned = {name: thin(points) for name, points in curves.items()}
    write_json(note, {"digest": weights, "training": cell.training.id, "curves": thinned})


def check_weights(twins: TwinStore, cell: Cell) -> None:
    """Before clips are made by a twin.

    Raises:
        UserError: its files are not those that its training ended with, so that clips would be others than it is noted
            and than those that are there.
    """
    assert cell.training is not None
    noted, there = (twins.finished(cell.training.id) or {}).get("digest"), twins.checkpoint(cell.training.id)
    if noted is not None and (now := folder_digest(there)) != noted:
        raise UserError(
            f"{there}, the model of {cell.name}, seed {cell.seed}, is not what its training ended with ({noted}, now "
            f"{now}); put that back, or delete {there.parent} and give another --out: it is trained again"
        )


def thin(points: Sequence[tuple[int, float]], most: int = 200) -> list[tuple[float, float]]:
    """At most so many points: means of as many neighbours as it takes."""
    size = -(-len(points) // most) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(fmean(step for step, _ in group), fmean(value for _, value in group)) for group in groups]


def check_room(left: Sequence[Planned], store: TwinStore) -> None:
    """Raises UserError when the trainings need more room than there is."""
    needed, free = sum(item.bytes or 0 for item in left), store.free()
    if needed > free:
        raise UserError(
            f"{counted(len(left), 'training')} to keep: about {needed / 1e6:,.0f} MB in {store.root}, where "
            f"{free / 1e6:,.0f} MB are free; make room, or give a folder elsewhere with --twins"
        )


@contextmanager
def _progress(manager: PluginManager, left: Sequence[Planned], store: TwinStore, device: str) -> Iterator[None]:
    """A bar over the steps of all trainings, read from their folders while an executor runs them."""
    trainers = [build(manager, item.training.trainer, {"device": device}) for item in left]
    total = sum(item.training.steps or 1 for item in left)
    ended = threading.Event()
    with progress_bar("trainings", total=total) as bar:

        def follow() -> None:
            shown = 0
            while not ended.wait(1.0):
                done = 0
                for trainer, item in zip(trainers, left, strict=True):
                    most, there = item.training.steps or 1, 0
                    with suppress(Exception):  # a trainer's own fault; the bar is for comfort
                        there = optional(trainer, TrainerExtras, "steps")(store.folder(item.training.id))
                    done += most if store.finished(item.training.id) else min(there, most)
                if done != shown:
                    bar.update(done, counted(len(left), "model"))
                shown = done

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def training_lines(found: Sequence[Planned]) -> list[str]:
    """The trainings of a plan in words."""
    if not found:
        return []
    left = [item for item in found if item.left]
    minutes = [item.minutes for item in left if item.minutes is not None]
    time = f"about {sum(minutes):,.0f}" if len(minutes) == len(left) else "an unknown number of"
    room = sum(item.bytes or 0 for item in left) / 1e6
    price = f"; {time} device minutes and {room:,.0f} MB in all" if left else ""
    there = sum(item.finished for item in found)
    lost = f", {len(found) - len(left) - there} failed before" if len(left) + there < len(found) else ""
    lines = [f"  trainings: {len(left)} to do, {there} there{lost}{price}"]
    for item in found:
        state = "there" if item.finished else "to do" if item.minutes is None else f"about {item.minutes:,.0f} min"
        state = state if item.finished or item.left else f"failed before ({item.failed}); --retry-failed tries again"
        steps = f", {item.training.steps} steps" if item.training.steps else ""
        lines.append(f"    {' = '.join(item.cells)}, seed {item.training.seed}{steps} ({item.training.id}): {state}")
    return lines
