"""YAML that people write: read whole at once, of a size and depth that a person writes, each field given once.

A file of a few lines can stand for gigabytes (aliases of aliases), for itself, or nest until Python's stack ends.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from artv.errors import UserError
from artv.files import read_bytes

BYTES, VALUES, DEPTH = 2**18, 50_000, 30
OPEN = -1  # of a value that is being counted

Lines = Mapping[tuple[Any, ...], int]
"""Names of fields and positions in lists, from the outermost → line, from 1."""


def read_yaml(path: str | Path, what: str) -> dict[Any, Any]:
    """The fields of a file; none if it is empty.

    Args:
        what: the file is, for errors: ``settings file``.

    Raises:
        UserError: there is none, it is no YAML, is too much of it, or holds no fields.
    """
    try:
        values = parse_yaml(read_bytes(Path(path)))
    except FileNotFoundError:
        raise UserError(f"{what} {path} does not exist") from None
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{what} {path} is no YAML: {' '.join(str(error).split())[:160]}") from None
    if values is not None and not isinstance(values, dict):
        raise UserError(f"{what} {path} holds a {type(values).__name__}; it must be fields and values")
    return values or {}


def read_numbered_yaml(path: str | Path, what: str) -> tuple[dict[Any, Any], Lines]:
    """The same, and where each of its values stands. Raises as :func:`read_yaml`."""
    values = read_yaml(path, what)
    node = yaml.compose(read_bytes(Path(path)), Loader=_Loader)
    return values, dict(_lines(node, ()))


def _lines(node: yaml.Node | None, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], int]]:
    pairs: list[tuple[Any, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        pairs = [(key.value, key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(i, value, value) for i, value in enumerate(node.value)]
    for name, first, value in pairs:
        yield (*place, name), first.start_mark.line + 1
        yield from _lines(value, (*place, name))


def parse_yaml(text: str | bytes) -> Any:
    """Raises yaml.YAMLError or ValueError for what is no YAML, or too much of it."""
    if len(text) > BYTES:
        raise ValueError(f"it has {len(text)} bytes, and may have {BYTES}")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {}, 0)
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEPTH} deep") from None
    finally:
        loader.dispose()


def _count(node: yaml.Node, counted: dict[int, int], depth: int) -> int:
    """Values that a node stands for, aliases written out."""
    if depth > DEPTH:
        raise ValueError(f"it is nested more than {DEPTH} deep")
    if counted.get(id(node)) == OPEN:
        raise ValueError(f"what begins in line {node.start_mark.line + 1} holds itself")
    if id(node) not in counted:
        counted[id(node)] = OPEN
        pairs = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for pair in pairs for part in (pair if isinstance(pair, tuple) else (pair,))]
        total = 1 + sum(_count(part, counted, depth + 1) for part in parts)
        if total > VALUES:
            raise ValueError(f"it stands for more than {VALUES} values")
        counted[id(node)] = total
    return counted[id(node)]


class _Loader(yaml.SafeLoader):
    """Refuses a field that is given twice: of two, PyYAML takes the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if names.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
        return super().construct_mapping(node, deep)
