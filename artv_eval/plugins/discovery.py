"""Finding plugins and loading one at a time, so that what is wrong with one stays with it.

Only a plugin's entry module is imported here; the targets of its components are imported when they are used.
"""

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import io
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pluggy

from artv.errors import UserError
from artv.files import read_bytes
from artv_eval.plugins import hookspecs
from artv_eval.plugins.blame import OURS, note_owner
from artv_eval.plugins.components import API_VERSION, KINDS, Component

GROUP = "artv_eval"
HOOKS = {kind.hook: kind for kind in KINDS.values()}

IMPORT_SECONDS = 3.0
"""What an installed plugin may take to import, by the clock. A light entry module takes milliseconds, so that no busy
machine makes it slow."""

_NOTED: weakref.WeakKeyDictionary[Any, list[str]] = weakref.WeakKeyDictionary()
"""Entry module → its faults: whoever loads it again in this process does not run it again, and would see none."""


@dataclass(kw_only=True)
class Plugin:
    """A plugin as found, and what became of it.

    ``status`` is ``found``, ``blocked`` (never imported), ``loaded`` or ``failed`` (with ``error``). A loaded plugin
    works in spite of its ``faults``, but is used only if the options are lenient; ``warnings`` are for its author.
    ``quick`` is whether it must be imported within :data:`IMPORT_SECONDS`.
    """

    name: str
    distribution: str
    version: str
    source: str
    load: Callable[[], Any] = field(repr=False)
    quick: bool = False
    status: str = "found"
    error: str | None = None
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    components: dict[str, list[Component]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """``distribution/name``, which is unique."""
        return f"{self.distribution}/{self.name}"

    @property
    def names(self) -> set[str]:
        """What ``-p`` may call this plugin."""
        return {self.name, self.distribution, self.key}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which plugins to import: all but the blocked ones, or only the chosen ones. The built-ins are always there."""

    only: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, words: Sequence[str]) -> "Selection":
        """From the values of ``-p`` and of ``ARTV_EVAL_PLUGINS``: ``NAME`` selects, ``no:NAME`` blocks."""
        words = [word.strip() for word in words if word.strip()]
        blocked = {word.removeprefix("no:") for word in words if word.startswith("no:")}
        return cls(only=frozenset(set(words) - {f"no:{name}" for name in blocked}), blocked=frozenset(blocked))

    def allows(self, plugin: Plugin) -> bool:
        """Whether ``plugin`` may be imported."""
        return not (plugin.names & self.blocked) and (not self.only or bool(plugin.names & self.only))

    def check(self, found: Sequence[Plugin]) -> None:
        """Raises UserError for a name that no plugin has: a typo here would silently change what runs."""
        known = {name for plugin in found for name in (plugin.name, plugin.distribution)}
        allowed = {name for plugin in found for name in plugin.names}
        for name in sorted((self.only | self.blocked) - allowed):
            near = get_close_matches(name, known, n=1) or sorted(known)
            raise UserError(
                f"no plugin is named {name!r}; installed: {', '.join(near) or 'none'} (artv-eval plugins list)"
            )


def find_installed() -> list[Plugin]:
    """Plugins of the installed distributions, by the entry-point group ``artv_eval``."""
    found = []
    for point in importlib.metadata.entry_points(group=GROUP):
        distribution = point.dist.name if point.dist else "unknown"
        version = point.dist.version if point.dist else "unknown"
        found.append(
            Plugin(
                name=point.name,
                distribution=distribution,
                version=version,
                source=f"entry point {point.value}",
                load=point.load,
                quick=True,  # every command imports it; a file is one of the user's choice, with all its imports in it
            )
        )
    return sorted(found, key=lambda plugin: plugin.key)


def find_files(folders: Sequence[Path]) -> list[Plugin]:
    """One-file plugins: every ``*.py`` in ``folders`` whose name does not begin with an underscore.

    Their version is a digest of the file, so that cells made by an earlier text of it are not taken for new ones.
    """
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"--plugins-dir is {str(folder)!r}, which is no folder; give one that holds *.py plugins")
        for path in sorted(folder.glob("[!_]*.py")):
            if path.name.startswith(".") or not path.is_file():  # an editor's lock, a link to nothing, a folder
                continue
            digest = hashlib.sha256(read_bytes(path)).hexdigest()[:12]
            found.append(
                Plugin(
                    name=path.stem,
                    distribution=path.name,
                    version=f"sha256:{digest}",
                    source=f"file {path}",
                    load=functools.partial(_import_file, path),
                )
            )
    return found


def _import_file(path: Path) -> Any:
    """Imports ``path`` under a name of its own, under which its targets find it (``f"{__name__}:factory"``)."""
    name = f"artv_eval_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class PluginFault(UserError):
    """What is wrong with a plugin, in one line."""


def load_plugin(plugin: Plugin, pm: pluggy.PluginManager) -> None:
    """Imports ``plugin``, registers it with ``pm`` and collects its components; a fault only marks it failed."""
    try:
        with _watched(plugin):
            module = plugin.load()
            _check_api(module)
            _check_hooks(module)
            pm.register(module, name=plugin.key)
            plugin.components = _collect(plugin.key, pm)
        targets = [component.target for components in plugin.components.values() for component in components]
        note_owner(plugin.key, getattr(module, "__name__", ""), *(target.partition(":")[0] for target in targets))
        plugin.faults = list(_NOTED.setdefault(module, plugin.faults))
        plugin.status = "loaded"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit when imported
        plugin.status, plugin.error, plugin.components = "failed", _one_line(error, plugin), {}
        if pm.has_plugin(plugin.key):
            pm.unregister(name=plugin.key)


@contextlib.contextmanager
def _watched(plugin: Plugin) -> Iterator[None]:
    """Keeps what a plugin prints off stdout, which may be a JSON document's, and notes what it should not do."""
    printed, start = io.StringIO(), time.perf_counter()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        yield
    seconds = time.perf_counter() - start
    if printed.getvalue():
        first = printed.getvalue().strip().splitlines()[:1] or [""]
        plugin.faults.append(f"prints when imported: {first[0][:80]!r}")
    if plugin.quick and seconds > IMPORT_SECONDS:
        plugin.faults.append(
            f"takes {seconds:.1f} s to import, over the limit of {IMPORT_SECONDS:g} s; move heavy imports out of the "
            "entry module"
        )
    for warning in caught:
        if issubclass(warning.category, DeprecationWarning | FutureWarning) and "artv" in str(warning.message):
            plugin.warnings.append(" ".join(str(warning.message).split()))


def _check_api(module: Any) -> None:
    wanted = getattr(module, "ARTV_EVAL_API", API_VERSION)
    if not isinstance(wanted, int):
        raise PluginFault(f"ARTV_EVAL_API is {wanted!r}; it must be an integer, now {API_VERSION}")
    if wanted > API_VERSION:
        raise PluginFault(
            f"built for plugin API {wanted}, this artv_eval has {API_VERSION}; upgrade artv, or use an older release"
        )


def _check_hooks(module: Any) -> None:
    """A misspelt hook or a missing decorator would leave a plugin silently without effect."""
    implemented = 0
    for name, function in inspect.getmembers(module, inspect.isroutine):
        mark = getattr(function, f"{hookspecs.PROJECT}_impl", None)
        hook = (mark or {}).get("specname") or name
        if mark is not None and hook in HOOKS:
            implemented += 1
            continue
        near = get_close_matches(hook, HOOKS, n=1, cutoff=0.8) if mark or name.startswith("register") else []
        if mark is None:
            if near:
                raise PluginFault(
                    f"{name}() is not decorated: put @artv_eval.hookimpl above it (and name it {near[0]})"
                )
        elif not mark.get("optionalhook"):
            guess = f"; did you mean {near[0]}?" if near else f"; the hooks are {', '.join(HOOKS)}"
            raise PluginFault(f"{hook} is no hook of this artv_eval{guess}")
    if not implemented:
        raise PluginFault(f"implements no hook; the hooks are {', '.join(HOOKS)}")


def _collect(key: str, pm: pluggy.PluginManager) -> dict[str, list[Component]]:
    """Calls the plugin's own hooks, not everyone's, and checks what they return."""
    collected: dict[str, list[Component]] = {}
    for hook, kind in HOOKS.items():
        for impl in getattr(pm.hook, hook).get_hookimpls():
            if impl.plugin_name != key:
                continue
            returned = impl.function()
            if not isinstance(returned, list) or not all(isinstance(c, Component) for c in returned):
                raise PluginFault(f"{hook}() returned {_short(returned)}; it must return a list of Component")
            names = [component.name for component in returned]
            if len(set(names)) < len(names):
                raise PluginFault(f"{hook}() returned two components named {max(names, key=names.count)!r}")
            collected[kind.name] = returned
    return collected


def _short(value: Any) -> str:
    if isinstance(value, list):
        odd = [type(item).__name__ for item in value if not isinstance(item, Component)]
        return f"a list with {odd[0]} in it"
    return f"{type(value).__name__} ({repr(value)[:60]})"


def _one_line(error: BaseException, plugin: Plugin) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.split(".")[0]
        if missing not in OURS:
            return f"needs the package {missing}, which is not installed: pip install {missing}"
    if isinstance(error, ImportError) and "artv_eval" in text:
        text += f" (built for another version of artv_eval than {_version('artv')})"
    if isinstance(error, PluginFault):
        return text
    return f"{type(error).__name__}: {text}{_where(error, plugin)}"


def _where(error: BaseException, plugin: Plugin) -> str:
    """The last place of the plugin's own code in the traceback."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and Path(file).parent.name not in ("importlib", "metadata", "artv_eval", "pluggy"):
            place = f" ({Path(file).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
