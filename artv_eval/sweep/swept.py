"""What an ablation varies between its cells is its own: no ``--set`` changes it, for the cells' names speak of it.

A *path* is ``(setting,)`` of a method, or ``(role, component, setting)`` of a component in its settings.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from artv_eval.api import CellSpec
from artv_eval.plugins.components import ROLES
from artv_eval.plugins.recipe import bare, named_component

Path = tuple[str, ...]
OPEN = "left open"


class Swept:
    """The paths that differ between the cells of an ablation.

    Args:
        ablation: as the user named it.
        specs: its cells.
        choices: the ablation's own settings, with which a user may choose other cells.
        arguments: method → the setting that what follows a colon is for.
    """

    def __init__(
        self,
        ablation: str,
        specs: Sequence[CellSpec],
        choices: Sequence[str] = (),
        arguments: Mapping[str, str | None] | None = None,
    ) -> None:
        self.ablation, self.choices = ablation, choices
        self._paths = {spec.name: paths_of(spec, (arguments or {}).get(bare(spec.method))) for spec in specs}
        self._specs = [spec for spec in specs if not spec.sanity]

    def held(self, spec: CellSpec) -> dict[Path, str]:
        """The paths of ``spec`` that stay as they are, each with the reason for a user who assigns it."""
        if spec.sanity:
            return {}
        varied = {path: self._why(path, spec) for path in self._paths[spec.name] if self._varies(path, spec)}
        return varied | {(name,): self._fixed(name, spec) for name in spec.fixed}

    def set_by(self, spec: CellSpec, name: str) -> str | None:
        """The reason why an option for all cells leaves a setting of ``spec`` alone, or None if it is open."""
        return self._why((name,), spec) if (name,) in self._paths[spec.name] else None

    def _alike(self, path: Path, spec: CellSpec) -> list[CellSpec]:
        """The cells that could have the path: of the same method and, below a role, with the same component."""
        same = [other for other in self._specs if bare(other.method) == bare(spec.method)]
        return [other for other in same if len(path) == 1 or bare(self._paths[other.name].get(path[:1], "")) == path[1]]

    def _varies(self, path: Path, spec: CellSpec) -> bool:
        values = [self._paths[other.name].get(path, OPEN) for other in self._alike(path, spec)]
        return any(value != values[0] for value in values)

    def _why(self, path: Path, spec: CellSpec) -> str:
        # a cell that is trained under several seeds is named once
        cells = [(name, self._paths[name].get(path, OPEN)) for name in {o.name: 0 for o in self._alike(path, spec)}]
        shown = ", ".join(f"{name}: {value}" for name, value in cells[:4]) + (", …" if len(cells) > 4 else "")
        what = ".".join((bare(spec.method), *path) if len(path) == 1 else path[1:])
        choose = " or ".join(f"--set {bare(self.ablation)}.{name}=…" for name in self.choices)
        other = f", or choose its cells with {choose}" if choose else ""
        return f"ablation {self.ablation!r} itself sets {what} ({shown}); leave it out{other}"

    def _fixed(self, name: str, spec: CellSpec) -> str:
        cell = f"cell {spec.name} of ablation {self.ablation!r}"
        return f"it would make {cell} something else than its name says; leave it out"


def paths_of(spec: CellSpec, argument: str | None = None) -> dict[Path, Any]:
    """Path → value of everything that ``spec`` sets."""
    settings = dict(spec.settings)
    if argument is not None and ":" in spec.method:
        settings[argument] = spec.method.partition(":")[2]
    found: dict[Path, Any] = {}
    for name, value in settings.items():
        chosen = named_component(value) if name in ROLES else None
        if chosen is None:
            found[name,] = value
        else:
            component, inner = chosen
            found[name,] = bare(component) + "".join(component.partition(":")[1:])
            found |= {(name, bare(component), key): item for key, item in inner.items()}
    return found
