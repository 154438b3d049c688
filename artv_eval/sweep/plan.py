"""From a request to cells, without computing anything: names are resolved and every setting is checked here.

A cell is a method with its settings, a protocol and a checkpoint digest; its id is the hash of exactly that, and
everything on disk is keyed by it. The number of videos is no part of it, so a larger sweep continues a smaller one.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from artv.errors import UserError
from artv_eval.api import AblationContext, CellSpec
from artv_eval.extras import MethodExtras, optional
from artv_eval.plugins.components import KINDS, ROLES
from artv_eval.plugins.digests import digest
from artv_eval.plugins.discovery import PluginFault
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import Recipe, Setting, bare, build, named_component, recipe, settings_of
from artv_eval.sweep.assignments import STEPS, Assignments
from artv_eval.sweep.grid import Point, named_by_points, points
from artv_eval.sweep.ran import settings_ran
from artv_eval.sweep.swept import Path, Swept
from artv_eval.twins.training import Training

READY = "ok"


@dataclass(frozen=True, kw_only=True)
class ProtocolRef:
    """The protocol of a run: its name and hash, and what the command line changed of it."""

    name: str
    hash: str
    frames: int | None = None
    seed: int = 0

    @property
    def label(self) -> str:
        """The name shown with every row: ``shapes@1``, or ``shapes@1 frames=8 seed=3`` when something was changed."""
        changes = [f"frames={self.frames}"] if self.frames is not None else []
        changes += [f"seed={self.seed}"] if self.seed else []
        return " ".join([self.name, *changes])

    @property
    def key(self) -> str:
        """Two values compare only if their protocols' keys are equal: the hash, where nothing was changed."""
        if self.frames is None and self.seed == 0:
            return self.hash
        return digest({"hash": self.hash, "frames": self.frames, "seed": self.seed})[:12]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One row group of the table. ``method`` is None, and ``status`` says why, when it cannot run.

    Of a cell that is trained under several seeds there are several, which share ablation and name and are one row.
    ``wanted`` and ``trainer``: what the ablation says of its training; ``training``: what the sweep made of it;
    ``seed`` and ``length``: the training's seed and steps. ``ran``: all settings of the method, those that nobody set
    included, as :func:`artv_eval.sweep.ran.settings_ran` gives them; no part of the id.
    """

    ablation: str
    name: str
    label: str
    protocol: ProtocolRef
    method: Recipe | None = None
    checkpoint: str | None = None
    sanity: bool = False
    status: str = READY
    wanted: Mapping[str, Any] | None = None
    trainer: str = ""
    training: Training | None = None
    seed: int | None = None
    length: int | None = None
    ran: Mapping[str, Any] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """What the clips depend on."""
        method: Any = self.method.to_dict() if self.method else self.label
        if self.method and self.training:  # wherever it is kept
            method["settings"]["checkpoint"] = f"training {self.training.id}"
        return {
            "method": method,
            "protocol": {"hash": self.protocol.hash, "frames": self.protocol.frames, "seed": self.protocol.seed},
            "checkpoint": self.checkpoint,
        }

    @property
    def title(self) -> str:
        """Its name, and of trainings which one."""
        return self.name if self.seed is None else f"{self.name}, seed {self.seed}"

    @property
    def family(self) -> str:
        """The same for all trainings of a cell: more seeds, or other lengths, belong into the same run."""
        return digest([self.ablation, self.name.partition(" @")[0], self.training.family]) if self.training else self.id

    @cached_property
    def id(self) -> str:
        """16 hex digits: the hash of :meth:`identity`."""
        return digest(self.identity())[:16]


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """What a user asked for."""

    ablations: tuple[str, ...]
    preset: str = "shapes"
    checkpoint: str | None = None
    steps: int | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    train: bool = False
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    sanity: bool = True


def plan_cells(
    manager: PluginManager, request: SweepRequest, protocol: ProtocolRef, assignments: Assignments
) -> list[Cell]:
    """The cells of all ablations, in order, with checked settings and without digests of checkpoints.

    Raises:
        UserError: unknown ablation, method or setting; two cells of one name; no ablation at all.
    """
    if not request.ablations:
        raise UserError(f"no ablation given; choose with --ablation: {', '.join(manager.names('ablations'))}")
    context = AblationContext(
        preset=request.preset,
        checkpoint=request.checkpoint or request.preset,
        names=partial(usable, manager),
        train=request.train,
        steps=request.steps,
        protocol=protocol.name,
    )
    cells: list[Cell] = []
    for name in dict.fromkeys(request.ablations):
        cells += named_by_points(_at_points(manager, name, context, request, protocol, assignments))
    return cells


def _at_points(
    manager: PluginManager,
    ablation: str,
    context: AblationContext,
    request: SweepRequest,
    protocol: ProtocolRef,
    assignments: Assignments,
) -> list[tuple[Point, Cell]]:
    """The cells of an ablation at every point of the grid; one that no point changes is made once."""
    found: list[tuple[Point, Cell]] = []
    before: Sequence[CellSpec] = ()
    for point in points(request.grid):
        here = assignments.at(point)
        specs, swept = _specs(manager, ablation, context, here)
        if specs != before:
            before, kept = specs, dict[tuple[str, int | None], Cell]()
        for spec in specs:
            if spec.sanity and not request.sanity:
                continue
            here.swept.clear()
            cell = kept.get((spec.name, spec.seed))
            cell = cell or _cell(manager, ablation, spec, request.preset, protocol, here, swept)
            if not here.swept:
                kept[spec.name, spec.seed] = cell
            found.append((point, cell))
    return found


def usable(manager: PluginManager, kind: str) -> list[str]:
    """Names of the components of a kind that work without a setting; a broken plugin's stay, to be told of."""
    found = []
    for name in manager.names(kind):
        try:
            known, _ = settings_of(manager.target(manager.find(kind, name)), KINDS[kind])
        except UserError:
            known = {}
        if not any(setting.required for setting in known.values()):
            found.append(name)
    return found


def _specs(
    manager: PluginManager, ablation: str, context: AblationContext, assignments: Assignments
) -> tuple[Sequence[CellSpec], Swept]:
    entry = manager.find("ablations", ablation)
    known, _ = settings_of(manager.target(entry), KINDS["ablations"])
    settings = assignments.claim(entry.component.name, known)
    specs = build(manager, recipe(manager, "ablations", ablation, settings))(context)
    names = [(spec.name, spec.seed) for spec in specs]
    doubled = {name for name, seed in names if names.count((name, seed)) > 1}
    if doubled or not names:
        what = f"two cells named {min(doubled)!r}" if doubled else "no cell"
        raise UserError(f"ablation {ablation!r} gives {what}; every cell needs a name of its own")
    arguments = {entry.component.name: entry.component.argument for entry in manager.entries if entry.kind == "methods"}
    return specs, Swept(ablation, specs, tuple(known), arguments)


def _cell(
    manager: PluginManager,
    ablation: str,
    spec: CellSpec,
    preset: str,
    protocol: ProtocolRef,
    assignments: Assignments,
    swept: Swept,
) -> Cell:
    common: dict[str, Any] = {
        "ablation": ablation,
        "name": spec.name,
        "label": spec.method,
        "protocol": protocol,
        "sanity": spec.sanity,
        "wanted": spec.training,
        "seed": spec.seed,
        "trainer": spec.trainer,
    }
    try:
        method = manager.find("methods", spec.method)
        target = manager.target(method)
        known, _ = settings_of(target, KINDS["methods"])
    except PluginFault:  # it is installed, and the user can say that it will do
        raise
    except UserError as error:
        if spec.install is None:
            raise
        return Cell(**common, status=f"not installed: {spec.install} ({error})")
    held, name = swept.held(spec), method.component.name
    own = {path[0]: why for path, why in held.items() if len(path) == 1}
    why = swept.set_by(spec, "steps")
    steps = assignments.take(STEPS, known, held={"steps": why} if why else None)
    given = assignments.take("method", known, held=own) | assignments.take(name, held=own)
    if steps and "steps" in given and str(given["steps"]) != str(steps["steps"]):
        raise UserError(f"{STEPS} is {steps['steps']} and --set {name}.steps is {given['steps']}; give one of them")
    defaults = optional(target, MethodExtras, "defaults")(preset)
    settings = {**spec.settings, **steps, **given}
    settings = with_components(manager, settings, known, assignments, held=held, defaults=defaults)
    made = recipe(manager, "methods", spec.method, settings)
    ran = settings_ran(manager, made, defaults)
    if spec.seed is not None and "checkpoint" in ran:
        ran = {**ran, "checkpoint": f"{ran['checkpoint']} and so on"}
    return Cell(**common, method=made, ran=ran)


def with_components(
    manager: PluginManager,
    settings: Mapping[str, Any],
    known: Mapping[str, Setting],
    assignments: Assignments,
    *,
    held: Mapping[Path, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``settings`` with those that name components filled in from the defaults and from ``--set``.

    Args:
        held: paths that no ``--set`` changes, with the reason.
        defaults: setting → what None stands for; a component chosen for that role starts from the values there, or
            from those under its own name.
    """
    filled = dict(settings)
    for role in sorted(name for name, setting in known.items() if setting.takes_component):
        value = settings.get(role, known[role].default)
        chosen = _component(manager, role, value, assignments, held or {}, defaults or {})
        if chosen is not None and chosen is not inspect.Parameter.empty:
            filled[role] = chosen
    return filled


def _component(
    manager: PluginManager,
    role: str,
    value: Any,
    assignments: Assignments,
    held: Mapping[Path, str],
    defaults: Mapping[str, Any],
) -> Any:
    """A setting that names a component, with what ``--set <role>.…`` and ``--set <its name>.…`` say of it."""
    standard = named_component(defaults.get(role))
    if value is None and standard and (assignments.has(role) or assignments.has(bare(standard[0]))):
        value = standard[0]
    chosen = named_component(value)
    assignments.role(role, chosen=chosen is not None)
    if chosen is None:
        return value
    component, inner = chosen
    entry = manager.find(ROLES[role].name, component)
    own, open_ended = settings_of(manager.target(entry), ROLES[role])
    name = entry.component.name
    kept = {path[2]: why for path, why in held.items() if path[:2] == (role, name)}
    start = {**(standard[1] if standard else {}), **defaults.get(name, {})}
    start = {key: item for key, item in start.items() if key in own and item != own[key].default}
    inner = start | inner | assignments.take(role, None if open_ended else own, held=kept)
    inner |= assignments.take(name, held=kept)
    return {"name": component, **inner} if inner else component
