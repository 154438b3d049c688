"""From a request to cells, without computing anything: names are resolved and every setting is checked here.

A cell is a method with its settings, a protocol and a checkpoint digest; its id is the hash of exactly that, and
everything on disk is keyed by it. The number of videos is no part of it, so a larger sweep continues a smaller one.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from artv.errors import UserError, closest
from artv_eval.api import AblationContext, CellSpec
from artv_eval.plugins.components import KINDS, ROLES
from artv_eval.plugins.digests import digest
from artv_eval.plugins.discovery import PluginFault
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import Recipe, Setting, build, recipe, settings_of
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
        """As shown with every row: ``shapes@1``, or ``shapes@1 frames=8 seed=3`` when something was changed."""
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
    ``seed`` and ``length``: the training's seed and steps.
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

    @property
    def id(self) -> str:
        """16 hex digits: the hash of :meth:`identity`."""
        return digest(self.identity())[:16]


class Assignments:
    """The values of ``--set`` and of the settings file; knows which of them nobody asked for."""

    def __init__(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        self._values = {component: dict(fields) for component, fields in values.items()}
        self._unused = {(component, name) for component, fields in values.items() for name in fields}
        self._asked: dict[str, set[str]] = {}

    def take(self, component: str, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The values for ``component``; with ``known``, only of those fields."""
        self._asked.setdefault(component, set()).update(known or ())
        fields = self._values.get(component, {})
        taken = {name: value for name, value in fields.items() if known is None or name in known}
        self._unused -= {(component, name) for name in taken}
        return taken

    def claim(self, component: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """As :meth:`take`, and nobody else gets them: an ablation may have the name of a role (``sampler``)."""
        taken = self.take(component, known)
        for name in taken:
            del self._values[component][name]
        return taken

    def finish(self) -> None:
        """Raises UserError for a value that nothing in the sweep takes."""
        for component, name in sorted(self._unused):
            if component in self._asked:
                hint = closest(name, self._asked[component])
                raise UserError(f"--set {component}.{name}: no {component} here has the setting {name!r}; {hint}")
            raise UserError(
                f"--set {component}.{name}: nothing of this run is named {component!r}; "
                f"{closest(component, self._asked)}"
            )


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """What a user asked for."""

    ablations: tuple[str, ...]
    preset: str = "shapes"
    checkpoint: str | None = None
    steps: int | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    train: bool = False


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
        names=manager.complete,
        train=request.train,
    )
    cells = []
    for reference in dict.fromkeys(request.ablations):
        specs = _specs(manager, reference, context, assignments)
        cells += [_cell(manager, reference, spec, request, protocol, assignments) for spec in specs]
    return cells


def _specs(
    manager: PluginManager, reference: str, context: AblationContext, assignments: Assignments
) -> Sequence[CellSpec]:
    entry = manager.find("ablations", reference)
    known, _ = settings_of(manager.target(entry), KINDS["ablations"])
    settings = assignments.claim(entry.component.name, known)
    specs = build(manager, recipe(manager, "ablations", reference, settings))(context)
    names = [spec.name for spec in specs]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled or not names:
        what = f"two cells named {sorted(doubled)[0]!r}" if doubled else "no cell"
        raise UserError(f"ablation {reference!r} gives {what}; every cell needs a name of its own")
    return specs


def _cell(
    manager: PluginManager,
    ablation: str,
    spec: CellSpec,
    request: SweepRequest,
    protocol: ProtocolRef,
    assignments: Assignments,
) -> Cell:
    common: dict[str, Any] = {
        "ablation": ablation,
        "name": spec.name,
        "label": spec.method,
        "protocol": protocol,
        "sanity": spec.sanity,
        "wanted": spec.training,
        "trainer": spec.trainer,
    }
    try:
        method = manager.find("methods", spec.method)
        known, _ = settings_of(manager.target(method), KINDS["methods"])
    except PluginFault:  # it is installed, and the user can say that it will do
        raise
    except UserError as error:
        if spec.install is None:
            raise
        return Cell(**common, status=f"not installed: {spec.install} ({error})")
    settings = dict(spec.settings)
    if request.steps is not None and "steps" in known:
        settings.setdefault("steps", request.steps)
    settings |= assignments.take("method", known) | assignments.take(method.component.name)
    settings = with_components(settings, known, assignments)
    return Cell(**common, method=recipe(manager, "methods", spec.method, settings))


def with_components(
    settings: Mapping[str, Any], known: Mapping[str, Setting], assignments: Assignments
) -> dict[str, Any]:
    """``settings`` with those that name components filled in from the defaults and from ``--set``."""
    filled = dict(settings)
    for role in ROLES.keys() & known.keys():
        chosen = _component(settings.get(role, known[role].default), role, assignments)
        if chosen is not None and chosen is not inspect.Parameter.empty:
            filled[role] = chosen
    return filled


def _component(value: Any, role: str, assignments: Assignments) -> Any:
    """A setting that names a component, with what ``--set <role>.…`` and ``--set <its name>.…`` say of it."""
    name = value.get("name") if isinstance(value, Mapping) else value
    if not isinstance(name, str):
        if chosen := assignments.take(role):
            raise UserError(f"--set {role}.{next(iter(chosen))}: say first which one, with --set method.{role}=NAME")
        return value
    inner = {key: item for key, item in value.items() if key != "name"} if isinstance(value, Mapping) else {}
    inner |= assignments.take(role) | assignments.take(str(name).rpartition("/")[2])
    return {"name": name, **inner} if inner else name
