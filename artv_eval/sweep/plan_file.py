"""A sweep written down: the YAML file of ``artv-eval sweep FILE`` and ``plan FILE``, which has a field for each option.

    ablations: [mask, guidance]
    cells:                                   # of your own, compared with the first of them
      - {name: eight, method: artv, settings: {steps: 8}}
      - {name: four, method: artv, settings: {steps: 4, sampler: {name: dpmpp_2m}}}
    grid: {three_term.text: [1, 2, 4]}       # as --grid
    num_videos: 512
    train: {seeds: 4, steps: [1000, 3500]}   # as --train --train-seeds 4 --train-steps 1000,3500
    settings: {sampler: {eta: 0.5}}          # as --set sampler.eta=0.5

What the command line says comes on top of the file. A run's ``manifest.json`` holds the whole as ``plan``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from artv.devices import chosen_device
from artv.errors import UserError
from artv.requests import MOST_FRAMES, MOST_STEPS
from artv.yaml_files import read_numbered_yaml
from artv.yaml_models import YamlModel
from artv_eval.errors import explain
from artv_eval.plugins.components import ROLES
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import Typed, check_assignment, check_setting, named_component, parse_assignments
from artv_eval.results.documents import read_json
from artv_eval.sweep.generate import Shard
from artv_eval.sweep.grid import parse_grid
from artv_eval.sweep.plan import SweepRequest
from artv_eval.sweep.prepare import SweepOptions, check_preset
from artv_eval.sweep.trainings import STORE, TrainOptions

CELLS, TRAINED = "cells", "training-grid"  # ablations of cells, and of a grid's trainings
TRAINING, EXECUTOR = "training.", "executor."


class PlannedCell(YamlModel):
    """A cell by itself: the fields of :class:`artv_eval.api.CellSpec`."""

    name: str = Field(min_length=1)
    method: str = "artv"
    settings: dict[str, Any] = {}
    sanity: bool = False
    training: dict[str, Any] | None = None


class Trained(YamlModel):
    """What is trained: every cell under the seeds 1 to ``seeds``, for each length; none: the trainer's own."""

    seeds: int = Field(default=1, ge=1, le=1000)
    steps: list[int] = []


class SweepPlan(YamlModel):
    """A sweep's options under the names that they have on the command line. A text in ``grid`` is read as there."""

    ablations: list[str] = []
    cells: list[PlannedCell] = Field(default=[], min_length=1)
    grid: dict[str, list[Any] | str] = Field(default={}, min_length=1)
    preset: str = "shapes"
    checkpoint: str | None = None
    protocol: str | None = None
    prompts: str | None = None
    seeds_per_prompt: int | None = Field(default=None, ge=1)
    num_videos: int | None = Field(default=None, ge=2)
    frames: int | None = Field(default=None, ge=2, le=MOST_FRAMES)
    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    seed: int = Field(default=0, ge=0)
    metrics: list[str] | None = Field(default=None, min_length=1)
    train: Trained | None = None
    twins: str = str(STORE)
    settings: dict[str, dict[str, Any]] = {}
    set: list[str] = []
    sanity: bool = True
    executor: str | None = None
    device: str = "cpu"
    batch_size: int | None = Field(default=None, ge=1)
    shard: str | None = None
    out: str | None = None
    store: str | None = None
    retry_failed: bool = False

    @field_validator("grid")
    @classmethod
    def _values(cls, grid: dict[str, list[Any] | str]) -> dict[str, list[Any] | str]:
        for path, values in grid.items():
            if not values:
                raise ValueError(f"{path} has no value")
            if "." not in path:
                raise ValueError(f"{path} must be COMPONENT.FIELD")
            if not isinstance(values, str) and len({_same(value) for value in values}) < len(values):
                raise ValueError(f"{path} gives something twice")
        return grid

    def options(self) -> SweepOptions:
        """What a sweep is prepared from.

        Raises:
            UserError: a ``set`` or a grid in another form.
        """
        settings = {component: dict(fields) for component, fields in self.settings.items()}
        for component, fields in parse_assignments(self.set).items():
            settings.setdefault(component, {}).update(fields)
        swept = _grid({path: values for path, values in self.grid.items() if not path.startswith(TRAINING)})
        trained = {path: values for path, values in self.grid.items() if path.startswith(TRAINING)}
        if trained:
            settings[TRAINED] = {"fields": {path.removeprefix(TRAINING): _read(v) for path, v in trained.items()}}
        if self.cells:
            settings[CELLS] = {"cells": [cell.model_dump(exclude_unset=True) for cell in self.cells]}
        named = (*self.ablations, *([CELLS] if self.cells else []), *([TRAINED] if trained else []))
        return SweepOptions(
            request=SweepRequest(
                ablations=named or (("grid",) if swept else ()),
                preset=self.preset,
                checkpoint=self.checkpoint,
                steps=self.steps,
                settings=settings,
                train=self.train is not None,
                grid=swept,
                sanity=self.sanity,
            ),
            protocol=self.protocol,
            prompts=self.prompts,
            seeds_per_prompt=self.seeds_per_prompt,
            num_videos=self.num_videos,
            frames=self.frames,
            seed=self.seed,
            metrics=None if self.metrics is None else tuple(self.metrics),
            executor=self.executor,
            shard=self.shard,
            batch_size=self.batch_size,
            device=self.device,
            out=Path(self.out) if self.out else None,
            store=Path(self.store) if self.store else None,
            retry_failed=self.retry_failed,
            train=self._train_options(),
            plan=self.document(),
        )

    def _train_options(self) -> TrainOptions | None:
        if self.train is None:
            return None
        return TrainOptions(seeds=self.train.seeds, steps=tuple(self.train.steps), store=Path(self.twins))

    def document(self) -> dict[str, Any]:
        """Plain values that the same plan can be made of."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def alone(self) -> "SweepPlan":
        """The same cells, whoever makes them: without a shard, an executor and what is set of that."""
        of_others = {
            "set": [text for text in self.set if not text.startswith(EXECUTOR)],
            "settings": {name: fields for name, fields in self.settings.items() if f"{name}." != EXECUTOR},
        }
        return self.model_copy(update={"shard": None, "executor": None, **of_others})


def plan_of(run: Path) -> SweepPlan:
    """The plan of a run folder, whoever makes its clips now.

    Raises:
        UserError: its manifest has none, for it is older than plans in manifests, or one of a newer version.
    """
    plan = read_json(run / "manifest.json").get("plan")
    if not plan:
        raise UserError(
            f"{run} is older than plans in manifests; run its command again, which makes nothing, then this"
        )
    try:
        return SweepPlan.model_validate(plan).alone()
    except ValidationError as error:
        raise UserError(f"the plan of {run} is none that this version knows: {explain(error, SweepPlan)}") from None


def read_plan(manager: PluginManager, path: str | None, given: Mapping[str, Any]) -> SweepPlan:
    """The plan of a file with what was ``given`` beside it on top; mappings and ``set`` are added to.

    Raises:
        UserError: there is no such file, or a field or a component of it does not exist or does not fit, with its line.
    """
    if path is None:
        return SweepPlan.model_construct(**given)
    values, lines = read_numbered_yaml(path, "plan")
    try:
        plan = SweepPlan.model_validate(values)
    except ValidationError as error:
        raise UserError(f"plan {path}: {explain(error, SweepPlan, lines)}") from None
    for place, check in _checks(manager, plan, given):
        try:
            check()
        except UserError as error:
            # a cell without a method has the usual one; a default can be wrong only beside what is typed
            line = lines.get(place) or lines.get(place[:-1], 1)
            raise UserError(f"plan {path}: line {line}: {error}") from None
    if not (plan.ablations or plan.cells or plan.grid or given.get("ablations") or given.get("grid")):
        raise UserError(f"plan {path} has no cells: give it ablations, cells or a grid")
    added = {name: getattr(plan, name) for name in ("settings", "grid", "set") if name in given}
    return plan.model_copy(update={**given, **{name: _added(value, given[name]) for name, value in added.items()}})


def _checks(
    manager: PluginManager, plan: SweepPlan, given: Mapping[str, Any]
) -> Iterator[tuple[tuple[Any, ...], Callable[[], object]]]:
    """Place in the file, and what raises UserError if what stands there does not exist or does not fit.

    ``given``: what is typed, in the place of which nothing of the file counts.
    """
    for place, kind, name in _components(plan):
        if place[0] not in given:
            yield place, partial(manager.find, kind, name)
    for field, check in (("device", chosen_device), ("shard", Shard.parse), ("preset", check_preset)):
        if field not in given:
            yield (field,), partial(check, getattr(plan, field))
    yield from ((("set", i), partial(_check_text, manager, text)) for i, text in enumerate(plan.set))
    yield ("cells",), partial(_check_names, plan.cells)
    for i, cell in enumerate(plan.cells):
        for name, value in cell.settings.items():
            yield ("cells", i, "settings", name), partial(check_setting, manager, "methods", cell.method, name, value)
    for component, fields in plan.settings.items():
        for name, value in fields.items():
            yield ("settings", component, name), partial(check_assignment, manager, component, name, [value])
    for path, values in _grid(plan.grid).items():
        component, _, name = path.rpartition(".")
        yield ("grid", path), partial(check_assignment, manager, component, name, values)


def _check_text(manager: PluginManager, text: str) -> None:
    for component, fields in parse_assignments([text]).items():
        for name, value in fields.items():
            check_assignment(manager, component, name, [value])


def _check_names(cells: Sequence[PlannedCell]) -> None:
    names = [cell.name for cell in cells]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two cells are named {name!r}; every cell needs a name of its own")


def _components(plan: SweepPlan) -> Iterator[tuple[tuple[Any, ...], str, str]]:
    """Place in the file, kind and name of each component that a plan names."""
    yield from ((("ablations", i), "ablations", name) for i, name in enumerate(plan.ablations))
    if plan.executor is not None:
        yield ("executor",), "executors", plan.executor
    if plan.protocol is not None and not plan.protocol.endswith((".yaml", ".yml")):
        yield ("protocol",), "protocols", plan.protocol
    yield from ((("metrics", i), "metrics", name) for i, name in enumerate(plan.metrics or ()))
    for i, cell in enumerate(plan.cells):
        yield ("cells", i, "method"), "methods", cell.method
        for role, value in cell.settings.items():
            if role in ROLES and (chosen := named_component(value)) is not None:
                yield ("cells", i, "settings", role), ROLES[role].name, chosen[0]


def _same(value: Any) -> str:
    """Equal for values that are one and the same: 1 and 1.0, but not 1 and true."""
    return repr(float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value)


def _added(value: Any, more: Any) -> Any:
    return [*value, *more] if isinstance(value, list) else {**value, **more}


def _grid(grid: Mapping[str, Any]) -> dict[str, list[Any]]:
    typed = parse_grid([f"{path}={values}" for path, values in grid.items() if isinstance(values, str)])
    return {path: typed[path] if path in typed else list(values) for path, values in grid.items()}


def _read(values: Any) -> list[Any]:
    return [Typed(word).read() for word in values.split(",")] if isinstance(values, str) else list(values)
