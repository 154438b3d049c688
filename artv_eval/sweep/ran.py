"""What each cell really ran: all its settings, those that nobody set included, for plan, table and report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from artv.errors import UserError, counted
from artv_eval.ablations import in_short
from artv_eval.plugins.components import KINDS, ROLES
from artv_eval.plugins.digests import digest
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import RUNTIME, Recipe, named_component, plain, recipe, settings_of
from artv_eval.results.store import RunStore

if TYPE_CHECKING:
    from artv_eval.sweep.plan import Cell

SHOWN = 40  # cells whose settings a line says


def settings_ran(manager: PluginManager, made: Recipe, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """setting → value, and role → the component's name with ``role.setting`` → value for its own.

    Args:
        defaults: what None stands for, by setting.
    """
    known, _ = settings_of(manager.target(made.entry), KINDS[made.entry.kind])
    signature = {name: setting.default for name, setting in known.items() if not setting.required}
    found: dict[str, Any] = {}
    for name, value in {**signature, **made.settings}.items():
        if name in RUNTIME:
            continue
        value = defaults.get(name) if value is None else value
        if name in ROLES and (chosen := named_component(value)) is not None:
            value = recipe(manager, ROLES[name].name, chosen[0], chosen[1])
        if isinstance(value, Recipe):
            found[name] = value.name
            found |= {f"{name}.{key}": item for key, item in settings_ran(manager, value, {}).items()}
        else:
            found[name] = plain(value)
    return found


def check_distinct(cells: Sequence["Cell"]) -> None:
    """Raises UserError if two cells of one ablation are the same method with the same settings and weights."""
    found: dict[str, Cell] = {}
    for b in cells:
        a = found.setdefault(_identity(b), b) if b.method else b
        if a.name != b.name:
            what = ", ".join(texts(a.ran).values()) or "no settings"
            raise UserError(
                f"cells {a.name} and {b.name} of ablation {a.ablation!r} are one and the same, {a.label} with {what}; "
                "leave out what makes them so (--set, --checkpoint)"
            )


def _identity(cell: "Cell") -> str:
    """Weights count by their digest, not by the place where they are."""
    assert cell.method is not None
    weights = cell.training.id if cell.training else cell.checkpoint
    place = cell.method.entry.component.argument if weights else None
    ran = {k: v for k, v in cell.ran.items() if k != place}
    return digest([cell.ablation, cell.method.entry.qualified, weights, ran])


def texts(ran: Mapping[str, Any]) -> dict[str, str]:
    """setting → ``setting=value``, a component with its own settings in brackets; what is None is left out."""
    found = {}
    for name, value in ran.items():
        if "." in name or value is None:
            continue
        own = {key.partition(".")[2]: item for key, item in ran.items() if key.startswith(f"{name}.")}
        inner = ", ".join(texts(own).values())
        found[name] = f"{name}={in_short(value)}" + (f" ({inner})" if inner else "")
    return found


def lines(cells: Sequence["Cell"]) -> list[str]:
    """One line an ablation and method: all settings of its first cell, then what the others have otherwise."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in {(cell.ablation, cell.name): cell for cell in cells}.values():  # of several trainings one
        if cell.method and not cell.sanity:
            groups.setdefault((cell.ablation, cell.method.name), []).append(cell)
    sizes = Counter(ablation for (ablation, _), group in groups.items() for _ in group)
    lonely = [
        f"{ablation} has one cell: there is nothing to compare it with" for ablation, n in sizes.items() if n == 1
    ]
    return [_line(*named, group) for named, group in groups.items()] + lonely


def _line(ablation: str, method: str, cells: Sequence["Cell"]) -> str:
    first, *others = ((cell.name, texts(cell.ran)) for cell in cells[:SHOWN])
    parts = [f"{ablation} ran {method}: {first[0]} with {', '.join(first[1].values()) or 'no settings'}"]
    for name, its in others:
        own = [
            its.get(key, f"no {key}") for key in dict.fromkeys([*first[1], *its]) if its.get(key) != first[1].get(key)
        ]
        parts += [f"{name} with {', '.join(own)}"] if own != [name] else []
    left = f"; and {counted(len(cells) - SHOWN, 'cell')} more" if len(cells) > SHOWN else ""
    return "; ".join(parts) + left + (f"; the rest as {first[0]}" if others else "")


def same_clips(store: RunStore, cells: Sequence["Cell"], indices: Sequence[int]) -> list[str]:
    """A line for each cell of an ablation whose clips are those of one before, whatever their settings say."""
    found: dict[tuple[str, tuple[str | None, ...]], Cell] = {}
    lines = []
    for b in cells:
        if b.method is None or b.sanity:
            continue
        clips = tuple(store.fingerprint(b.id, index) for index in indices)
        a = b if None in clips else found.setdefault((b.ablation, clips), b)
        if a.id != b.id:
            lines.append(f"{a.ablation}: {b.title} made the same clips as {a.title}, bit for bit")
    return lines
