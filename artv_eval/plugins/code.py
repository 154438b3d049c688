"""Digests of code: what else a result depends on than its settings, also where a version number stays the same."""

import hashlib
import importlib.metadata
import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from artv.files import read_bytes
from artv_eval.plugins.digests import digest
from artv_eval.plugins.manager import PluginManager
from artv_eval.plugins.recipe import Recipe

ROOT = Path(__file__).parents[2]
CLIPS = ("artv", "artv_eval/methods", "artv_eval/protocols")
"""Ours, of what makes clips."""
ROWS = (*CLIPS, "artv_eval/metrics", "artv_eval/features")
"""Ours, of what describes them."""
LEFT_OUT = ("cli", "training")  # folders of which no clip depends
VERSIONS = ("torch", "torchvision", "diffusers", "transformers", "open_clip_torch", "numpy", "openvino")


def maker(manager: PluginManager, recipes: Iterable[Recipe], ours: Sequence[str], *more: str | None) -> str:
    """8 hex digits of the code behind ``recipes``, of ours, of versions of libraries, and of ``more``.

    Args:
        ours: folders of this distribution, :data:`CLIPS` or :data:`ROWS`.
    """
    entries = [entry for made in recipes for entry in _entries(manager, made)]
    code = sorted({_source(module) for module in entries if not module.startswith("artv_eval.")})
    return digest([code_digest(tuple(ours)), code, _versions(), *more])[:8]


def _entries(manager: PluginManager, made: Recipe) -> Iterator[str]:
    """Modules of a component and of those in its settings."""
    target = manager.target(made.entry)
    yield getattr(inspect.unwrap(target), "__module__", None) or made.entry.component.target.partition(":")[0]
    for value in made.settings.values():
        if isinstance(value, Recipe):
            yield from _entries(manager, value)


@cache
def _source(module: str) -> str:
    """Digest of a module's whole top package, or of its file."""
    if module.partition(".")[0] == "artv":
        return ""  # among ours
    top = sys.modules.get(module.partition(".")[0])
    file = getattr(top, "__file__", None)
    if file is None:
        return module
    path = Path(file)
    return _digest(sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path])


@cache
def code_digest(folders: tuple[str, ...]) -> str:
    """16 hex digits of the source in folders of this distribution."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return _digest([file for file in files if not set(LEFT_OUT) & set(file.relative_to(ROOT).parts)])


def _digest(files: Sequence[Path]) -> str:
    sha = hashlib.sha256()
    for file in files:
        sha.update(file.name.encode() + b"\0" + hashlib.sha256(read_bytes(file)).digest())
    return sha.hexdigest()[:16]


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = []
    for name in VERSIONS:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)
