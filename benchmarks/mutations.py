"""Do tests notice when an operator of the code is another one? Mutants of a module, each against that module's tests.

    python benchmarks/mutations.py artv/anchors.py tests/artv/test_rollout.py --number 15 --seed 0

One comparison, arithmetic or Boolean operator of the module is replaced by its neighbour (``<`` by ``<=``, ``+`` by
``-``, ``and`` by ``or`` …), chosen by ``seed``; a process forked from this one imports that module and runs the tests.
Nothing on disk changes. A mutant that survives is printed: the line as it was and as it became. Not every one is a
fault of the tests: a tolerance that is never met exactly is the same with ``<`` as with ``<=``.
"""

import argparse
import ast
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 (what modules import in common is imported once, before the forks)

SECONDS = 120
PAIRS = [
    (ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.In, ast.NotIn), (ast.Is, ast.IsNot),
    (ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.FloorDiv, ast.Mult), (ast.Mod, ast.Add), (ast.And, ast.Or),
]  # fmt: skip
OTHER: dict[type, type] = dict(PAIRS) | {b: a for a, b in PAIRS if b not in dict(PAIRS)}


def places(tree: ast.AST) -> list[tuple[Any, str, int | None]]:
    """(node, field, position in it) of every operator that has a neighbour."""
    found: list[tuple[Any, str, int | None]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            found += [(node, "ops", i) for i, op in enumerate(node.ops) if type(op) in OTHER]
        elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in OTHER:
            found.append((node, "op", None))
    return found


def mutants(file: Path, number: int, seed: int) -> Iterator[tuple[ast.Module, str]]:
    """Up to so many trees of the module, each with one operator replaced, and what was done."""
    source = file.read_text(encoding="utf-8")
    chosen = random.Random(seed).sample(range(everything := len(places(ast.parse(source)))), min(number, everything))
    for at in sorted(chosen):
        tree = ast.parse(source)
        node, _, i = places(tree)[at]
        before = ast.unparse(node)
        if i is None:
            node.op = OTHER[type(node.op)]()
        else:
            node.ops[i] = OTHER[type(node.ops[i])]()
        yield tree, f"{file}:{node.lineno}: {before}  →  {ast.unparse(node)}"


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a tree, and leaves all others alone."""

    def __init__(self, file: Path, tree: ast.Module) -> None:
        self.name, self.file, self.tree = ".".join(file.with_suffix("").parts), file, tree

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name == self.name:
            return importlib.util.spec_from_loader(name, self, origin=str(self.file.absolute()))
        return None

    def exec_module(self, module: Any) -> None:
        module.__file__ = str(self.file.absolute())
        exec(compile(self.tree, module.__file__, "exec"), module.__dict__)


def noticed(file: Path, tree: ast.Module, tests: list[str]) -> bool:
    """Whether the tests fail, in a process of its own; one that takes too long has failed."""
    if not (child := os.fork()):
        signal.alarm(SECONDS)
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        sys.meta_path.insert(0, Mutated(file, tree))
        os._exit(int(pytest.main(["-n0", "-x", "-q", "-p", "no:cacheprovider", *tests]) != 0))
    return os.waitpid(child, 0)[1] != 0


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("module", type=Path, help="a file, relative to this folder")
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--number", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    sys.path.insert(0, "")
    if noticed(args.module, ast.parse(args.module.read_text(encoding="utf-8")), args.tests):
        parser.error("the tests fail on the module as it is")
    found = [
        (what, noticed(args.module, tree, args.tests)) for tree, what in mutants(args.module, args.number, args.seed)
    ]
    survivors = [what for what, caught in found if not caught]
    print(*survivors, f"{args.module}: {len(found) - len(survivors)} of {len(found)} mutants noticed", sep="\n")


if __name__ == "__main__":
    main()
