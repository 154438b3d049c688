"""A grid: every combination of some settings' values, each a cell of every ablation that it changes.

--grid artv.steps=4,8 --grid three_term.text=1,2       # four points
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from artv.errors import UserError
from artv_eval.plugins.recipe import Typed, parse_assignments

if TYPE_CHECKING:
    from artv_eval.sweep.plan import Cell

Point = Mapping[str, Any]


def grid_texts(texts: Sequence[str]) -> dict[str, str]:
    """``component.field`` → ``a,b`` of texts ``component.field=a,b``. Raises UserError as :func:`parse_grid`."""
    parse_grid(texts)
    return {path.strip(): values for path, _, values in (text.partition("=") for text in texts)}


def parse_grid(texts: Sequence[str]) -> dict[str, list[Typed]]:
    """``component.field`` → its values, of texts ``component.field=a,b``.

    Raises:
        UserError: another form, no value, a value or a field given twice.
    """
    found: dict[str, list[Typed]] = {}
    for text in texts:
        for component, fields in parse_assignments([text], option="--grid").items():
            for name, value in fields.items():
                values = [Typed(word.strip()) for word in value.split(",") if word.strip()]
                path = f"{component}.{name}"
                if not values or len(set(values)) < len(values) or path in found:
                    why = "has no value" if not values else "gives something twice"
                    raise UserError(f"--grid {text!r} {why}; write COMPONENT.FIELD=a,b with values that differ")
                found[path] = values
    return found


def points(grid: Mapping[str, Sequence[Any]]) -> Iterator[Point]:
    """The product; one empty point without a grid."""
    return (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))


def named_by_points(planned: Sequence[tuple[Point, "Cell"]]) -> list["Cell"]:
    """One cell for each that the points make of a cell; one that none of them changes is there once, as it was named.

    The cells that are no sanity cells come first, as without a grid.
    """
    groups: dict[tuple[str, int | None], list[tuple[Point, Cell]]] = {}
    for point, cell in planned:
        groups.setdefault((cell.name, cell.seed), []).append((point, cell))
    found = []
    for (name, _), made in groups.items():
        first = made[0][1]
        if all(cell is first or cell.id == first.id for _, cell in made):
            found.append(first)
        else:
            found += [replace(cell, name=f"{name} {_text(point)}") for point, cell in made]
    return sorted(found, key=lambda cell: cell.sanity)


def _text(point: Point) -> str:
    return " ".join(f"{path}={value}" for path, value in point.items())
