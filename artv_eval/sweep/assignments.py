"""What ``--set``, the settings file and ``--steps`` say, and what became of it: nothing is left unused in silence."""

from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

from artv.errors import UserError, closest
from artv_eval.plugins.components import KINDS, ROLES
from artv_eval.plugins.manager import PluginManager

STEPS = "--steps"
"""The component under which the value of ``--steps`` is kept."""


class Assignments:
    """component → field → value; knows which of them nobody asked for, and why somebody would not have it.

    Args:
        values: of ``--set`` and of the settings file.
        steps: of ``--steps``.
        grid: what :meth:`at` will give values of, ``component.field``.
    """

    def __init__(
        self, values: Mapping[str, Mapping[str, Any]], *, steps: int | None = None, grid: Iterable[str] = ()
    ) -> None:
        self._values = {component: dict(fields) for component, fields in values.items()}
        if steps is not None:
            self._values[STEPS] = {"steps": steps}
        self._unused = {(component, name): value for component in self._values for name, value in self._of(component)}
        self._grid = {(path.rpartition(".")[0], path.rpartition(".")[2]) for path in grid}
        self._unused |= dict.fromkeys(self._grid)
        self._asked: dict[str, set[str]] = {}
        self._held: dict[tuple[str, str], str] = {}
        self._unchosen: set[str] = set()
        self._chosen: set[str] = set()
        self.swept: set[tuple[str, str]] = set()
        """What was taken of a point's values."""

    def _of(self, component: str) -> list[tuple[str, Any]]:
        return list(self._values[component].items())

    def at(self, point: Mapping[str, Any]) -> "Assignments":
        """These with the values of a grid's ``point`` over them; what is taken of them is taken of these."""
        found = copy(self)
        found.swept = set()
        found._values = {component: dict(fields) for component, fields in self._values.items()}
        for path, value in point.items():
            component, _, name = path.rpartition(".")
            found._values.setdefault(component, {})[name] = value
        return found

    def take(
        self, component: str, known: Mapping[str, Any] | None = None, *, held: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The values for ``component``.

        Args:
            known: only of these fields.
            held: fields that keep the value they have, with the reason for whoever assigned them.
        """
        self._asked.setdefault(component, set()).update(known or ())
        taken = {}
        for name, value in self._values.get(component, {}).items():
            if held and name in held:
                self._held.setdefault((component, name), held[name])
            elif known is None or name in known:
                taken[name] = value
                self._unused.pop((component, name), None)
                self.swept |= self._grid & {(component, name)}
        return taken

    def claim(self, component: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Takes, as :meth:`take`, for nobody else: an ablation may have the name of a role (``sampler``)."""
        taken = self.take(component, known)
        for name in taken:
            del self._values[component][name]
        return taken

    def has(self, component: str) -> bool:
        """Whether anything is assigned to ``component``."""
        return bool(self._values.get(component))

    def role(self, role: str, *, chosen: bool) -> None:
        """Notes that somebody has this role, and whether a component is chosen for it."""
        (self._chosen if chosen else self._unchosen).add(role)

    def finish(self, manager: PluginManager) -> None:
        """Raises UserError for a value that nothing in the sweep takes, with the words that would reach something."""
        for component, name in sorted(self._unused):
            option = "--grid" if (component, name) in self._grid else "--set"
            value, path = self._unused[component, name], f"{option} {component}.{name}"
            if why := self._held.get((component, name)):
                said = f"{STEPS} {value}" if component == STEPS else path if value is None else f"{path}={value}"
                raise UserError(f"{said}: {why}")
            if component == STEPS:
                raise UserError(f"{STEPS} {value}: nothing of this run takes a number of steps; leave it out")
            raise UserError(f"{path}: {self._unknown(component, name, manager)}")

    def _unknown(self, component: str, name: str, manager: PluginManager) -> str:
        if component in self._unchosen and not self._asked.get(component):
            return f"say first which one, with --set method.{component}=NAME"
        if component in self._asked:
            return f"no {component} here has the setting {name!r}; {closest(name, self._asked[component])}"
        for kind in KINDS.values():
            if kind.set_as == "role" and component in manager.names(kind.name):
                return f"write {kind.role}.{name}, with --{kind.role} {component}"
        for role in self._unchosen | self._chosen:
            if component in manager.names(ROLES[role].name):
                return f"no {role} of this run is {component!r}; choose it with --set method.{role}={component}"
        return f"nothing of this run is named {component!r}; {closest(component, self._asked.keys() - {STEPS})}"
