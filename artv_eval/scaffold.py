"""``artv-eval plugins new``: a package from the template; it installs, passes its tests and runs as it is."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader

from artv.errors import UserError, closest
from artv_eval.components import KINDS

DEFAULT_KINDS = ("samplers", "metrics")


def new_plugin(name: str, kinds: Sequence[str], parent: Path) -> Path:
    """Writes ``parent/name`` and returns it.

    Raises:
        UserError: a name that cannot be a distribution's, an unknown kind, a folder that exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UserError(
            f"plugin name is {name!r}; it must be small letters, digits and single hyphens, like my-sampler"
        )
    kinds = tuple(dict.fromkeys(kinds)) or DEFAULT_KINDS
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"unknown kind {kind!r}; {closest(kind, KINDS)}")
    root, module = parent / name, name.replace("-", "_")
    if root.exists():
        raise UserError(f"{root} exists; choose another name, or another folder with --out")
    for path, text in _files(name, module, kinds).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def _files(name: str, module: str, kinds: Sequence[str]) -> dict[str, str]:
    from artv import __version__

    environment = Environment(
        loader=PackageLoader("artv_eval", "template"), trim_blocks=True, keep_trailing_newline=True
    )
    sources = {kind: environment.get_template(f"kinds/{kind}.py").render(name=name, module=module) for kind in kinds}
    values = {
        "name": name,
        "module": module,
        "version": __version__,
        "kinds": kinds,
        "roles": {kind: KINDS[kind].role for kind in kinds},
        "targets": {kind: target_of(source)[0] for kind, source in sources.items()},
        "summaries": {kind: target_of(source)[1] for kind, source in sources.items()},
    }
    whole = {
        "pyproject.toml": "pyproject.toml.j2",
        "README.md": "README.md.j2",
        f"{module}/__init__.py": "init.py.j2",
        f"tests/test_{module}.py": "test.py.j2",
    }
    return {
        **{path: environment.get_template(template).render(values) for path, template in whole.items()},
        **{f"{module}/{kind}.py": source for kind, source in sources.items()},
    }


def target_of(source: str) -> tuple[str, str]:
    """Name and first sentence of the class or function that a module is about: its last one."""
    tree = ast.parse(source)
    target = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)][-1]
    summary = (ast.get_docstring(target) or target.name).splitlines()[0]
    return target.name, re.split(r"[:.](?:\s|$)", summary)[0]
