"""The layout holds: imports run one way, in no circle, and rooms stay rooms.

Imports inside functions count: a circle that only a late import hides is one all the same. Imports for type checkers
do not.
"""

import ast
import resource
import runpy
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("artv", "artv_eval")


def imports(source: str, package: str, modules: set[str]) -> set[str]:
    """The modules of ``modules`` that a module imports, whose package is ``package``."""
    found: set[str] = set()
    for node in _runtime(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base for alias in node.names]
        else:
            continue
        found |= modules.intersection(names)
    return found


def _runtime(tree: ast.AST):
    """Every node except those below ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _runtime(child)


def graph(package: str) -> dict[str, set[str]]:
    """module → modules of the same package that it imports."""
    files = {}
    for file in (ROOT / package).rglob("*.py"):
        if "template" not in file.parts:
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            files[name.removesuffix(".__init__")] = file
    parent = {name: name if file.name == "__init__.py" else name.rpartition(".")[0] for name, file in files.items()}
    return {name: imports(file.read_text("utf-8"), parent[name], set(files)) - {name} for name, file in files.items()}


def test_a_circle_is_found_wherever_it_hides():
    modules = {"p", "p.a", "p.b", "p.c"}
    assert imports("def f():\n    from p.b import x", "p", modules) == {"p.b"}
    assert imports("from p import a, b", "p", modules) == {"p.a", "p.b"}
    assert imports("from . import c\nfrom .a import y", "p", modules) == {"p.c", "p.a"}
    assert imports("import p.a as q, numpy", "p", modules) == {"p.a"}
    assert imports("if TYPE_CHECKING:\n    from p.b import x", "p", modules) == set()


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Names that lead back to the first; none where there is no circle."""
    try:
        list(TopologicalSorter(arrows).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_imports_in_a_circle(package):
    assert circle(graph(package)) == []


def room(module: str) -> str:
    """The folder directly below the package that a module lies in, or the module itself."""
    return ".".join(module.split(".")[:2])


def test_rooms_of_the_harness_have_arrows_one_way():
    arrows: dict[str, set[str]] = {}
    for module, targets in graph("artv_eval").items():
        if module not in ("artv_eval", "artv_eval.testing"):
            arrows.setdefault(room(module), set()).update({room(t) for t in targets} - {room(module)})
    assert circle(arrows) == []


def test_few_files_outside_the_rooms():
    assert len(list((ROOT / "artv_eval").glob("*.py"))) <= 10


@pytest.mark.parametrize("package", PACKAGES)
def test_tests_lie_where_what_they_test_does(package):
    """Folder for folder; a file that tests one module has its name, others are named by their subject."""
    tests = ROOT / "tests" / package
    folders = {file.parent.relative_to(tests) for file in tests.rglob("test_*.py")}
    assert not {str(folder) for folder in folders if not (ROOT / package / folder).is_dir()}
    modules = {file.relative_to(ROOT / package) for file in (ROOT / package).rglob("*.py")}
    named = [file for file in tests.rglob("test_*.py") if file.parent.relative_to(tests) / file.name[5:] in modules]
    assert len(named) > len(list(tests.rglob("test_*.py"))) / 2


def test_no_file_is_long():
    long = {
        str(file.relative_to(ROOT)): lines
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        if (lines := len(file.read_text("utf-8").splitlines())) > 400
    }
    assert not long


def test_imports_run_from_plugins_to_the_harness_to_the_model():
    assert runpy.run_path(str(ROOT / ".ci" / "imports.py"))["violations"](ROOT) == []


def docstrings(file: Path):
    """(line, text) of every docstring, and of every text below a constant."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        for statement in node.body if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.lineno, str(statement.value.value).strip()


@pytest.mark.parametrize("folder", [*PACKAGES, "plugins", "benchmarks", "tests"])
def test_docstrings_begin_with_what_the_thing_is(folder):
    """ "Of the weights." needs the name above it to be understood: "Digest of the weights."."""
    assert not [
        f"{file.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for file in (ROOT / folder).rglob("*.py")
        if ".venv" not in file.parts
        for line, text in docstrings(file)
        if text.startswith(("Of ", "As "))
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_help_takes_less_than_half_a_second(package):
    """Half a second of a processor, the better of two: what else runs on this machine does not count."""

    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", package, "--help"], capture_output=True, check=True, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds(), seconds()) < 0.5
