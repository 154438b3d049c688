"""The plugin manager: which components there are, whose they are, and how a name becomes one of them."""

import importlib
import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pluggy

from artv.errors import UserError, in_one_line
from artv_eval.plugins import hookspecs
from artv_eval.plugins.components import KINDS, Component
from artv_eval.plugins.discovery import Plugin, PluginFault, Selection, find_files, find_installed, load_plugin

ENVIRONMENT = "ARTV_EVAL_PLUGINS"
BUILT_IN = "artv"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A component and the plugin it is of."""

    kind: str
    component: Component
    plugin: Plugin

    @property
    def qualified(self) -> str:
        """``distribution/name``, which no other component of the kind has."""
        return f"{self.plugin.distribution}/{self.component.name}"

    def provenance(self) -> dict[str, str]:
        """What the manifest of a run keeps of it, and what a cell's id depends on."""
        return {
            "kind": self.kind,
            "name": self.component.name,
            "distribution": self.plugin.distribution,
            "version": self.plugin.version,
        }


@dataclass(frozen=True, kw_only=True)
class PluginOptions:
    """What a process needs to load the same plugins as another one: the values of ``-p`` and ``--plugins-dir``.

    ``strict`` refuses to go on if anything is wrong with any plugin; ``lenient`` makes warnings of the faults that a
    plugin works in spite of.
    """

    select: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    strict: bool = False
    lenient: bool = False

    def selection(self) -> Selection:
        """With what the environment variable ``ARTV_EVAL_PLUGINS`` says (comma-separated)."""
        return Selection.parse([*os.environ.get(ENVIRONMENT, "").split(","), *self.select])

    def elsewhere(self) -> "PluginOptions":
        """For a worker process: what plugins do wrong was judged when the work was planned, and stops no worker."""
        folders = tuple(str(Path(folder).absolute()) for folder in self.folders)
        return replace(self, folders=folders, strict=False, lenient=True)


class PluginManager:
    """Loads the plugins that ``options`` allow; the built-ins come first, through the same hooks."""

    def __init__(self, options: PluginOptions | None = None) -> None:
        self.options = options or PluginOptions()
        self._pm = pluggy.PluginManager(hookspecs.PROJECT)
        self._pm.add_hookspecs(hookspecs)
        selection = self.options.selection()
        others = [*find_installed(), *find_files([Path(folder) for folder in self.options.folders])]
        selection.check(others)
        self.plugins = [_built_ins(), *others]
        for plugin in self.plugins:
            if plugin is self.plugins[0] or selection.allows(plugin):
                load_plugin(plugin, self._pm)
            else:
                plugin.status = "blocked"
        _note_shared_names(others)
        if self.options.lenient:
            for plugin in self.plugins:
                plugin.warnings, plugin.faults = plugin.faults + plugin.warnings, []
        self.entries = [
            Entry(kind=kind, component=component, plugin=plugin)
            for plugin in self.plugins
            for kind, components in plugin.components.items()
            for component in components
        ]
        self._named: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.entries:
            self._named.setdefault((entry.kind, entry.component.name), []).append(entry)
        self._targets: dict[str, Any] = {}
        if self.options.strict:
            self.refuse_faults()

    @property
    def failed(self) -> list[Plugin]:
        """The plugins that did not load."""
        return [plugin for plugin in self.plugins if plugin.status == "failed"]

    def clashes(self) -> dict[tuple[str, str], list[Entry]]:
        """(kind, name) → the components that share the name, where more than one does."""
        return {key: entries for key, entries in self._named.items() if len(entries) > 1}

    def faults(self) -> list[str]:
        """Everything that is wrong, a line each: failures, warnings and name clashes."""
        lines = [f"{plugin.key}: {plugin.error}" for plugin in self.failed]
        lines += [f"{plugin.key}: {text}" for plugin in self.plugins for text in plugin.faults + plugin.warnings]
        for (kind, name), entries in self.clashes().items():
            owners = " and ".join(entry.plugin.distribution for entry in entries)
            lines.append(f"{owners}: {KINDS[kind].role} {name!r} is registered by both")
        return lines

    def refuse_faults(self) -> None:
        """What ``--strict-plugins`` does: UserError if anything is wrong with any plugin."""
        faults = self.faults()
        if faults:
            raise UserError(f"--strict-plugins: {'; '.join(faults)} (block one with -p no:NAME)")

    def names(self, kind: str) -> list[str]:
        """The names of a kind's components, in the order of registration."""
        return list(dict.fromkeys(entry.component.name for entry in self.entries if entry.kind == kind))

    def complete(self, kind: str) -> list[str]:
        """Those names of a kind that say everything: components that need no argument after a colon."""
        entries = [e for e in self.entries if e.kind == kind and e.component.argument is None]
        return list(dict.fromkeys(entry.component.name for entry in entries))

    def find(self, kind: str, name: str) -> Entry:
        """The component that ``[distribution/]name`` means; what follows a colon is not looked at.

        Raises:
            UserError: the name is unknown (with the closest ones), is of a plugin that failed, or is two components'.
            PluginFault: the plugin has a fault that it works in spite of, and the options are not lenient.
        """
        head = name.partition(":")[0]
        distribution, _, own = head.rpartition("/")
        matching = self._named.get((kind, own), [])
        if distribution:
            matching = [entry for entry in matching if entry.plugin.distribution == distribution]
        role = KINDS[kind].role
        if len(matching) == 1:
            (entry,) = matching
            if entry.plugin.faults:
                raise PluginFault(
                    f"{role} {entry.qualified} is of plugin {entry.plugin.key} {entry.plugin.version}, at fault: "
                    f"{'; '.join(entry.plugin.faults)} (leave the plugin out with -p no:{entry.plugin.key}, or use it "
                    "as it is with --lenient-plugins)"
                )
            return entry
        if matching:
            owners = " and ".join(f"{entry.plugin.distribution} {entry.plugin.version}" for entry in matching)
            choices = " or ".join(entry.qualified for entry in matching)
            raise UserError(f"{role} {own!r} is registered by {owners}; say which: {choices}")
        raise UserError(f"unknown {role} {head!r}; {self._hint(kind, own)}{self._suspects(distribution)}")

    def _hint(self, kind: str, name: str) -> str:
        known = self.names(kind)
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        if near:
            return f"did you mean {' or '.join(near)}? (all: {', '.join(known)})"
        return f"it must be one of {', '.join(known) or '(none installed)'}"

    def _suspects(self, distribution: str) -> str:
        """Names the plugins that are not loaded: the component may be theirs."""
        named = [plugin for plugin in self.plugins if plugin.distribution == distribution]
        failed = [plugin for plugin in (named or self.plugins) if plugin.status == "failed"]
        if failed:
            return "; " + "; ".join(f"plugin {plugin.key} failed: {plugin.error}" for plugin in failed)
        blocked = [plugin.key for plugin in (named or self.plugins) if plugin.status == "blocked"]
        return f"; blocked: {', '.join(blocked)}" if blocked else ""

    def target(self, entry: Entry) -> Any:
        """Imports what the component points at, once.

        Raises:
            UserError: it cannot be imported; the line says whose it is and what is missing.
        """
        if entry.component.target in self._targets:
            return self._targets[entry.component.target]
        module, _, attribute = entry.component.target.partition(":")
        what = f"{KINDS[entry.kind].role} {entry.qualified}"
        try:
            value: Any = importlib.import_module(module)
            for part in attribute.split("."):
                value = getattr(value, part)
        except ModuleNotFoundError as error:
            missing = (error.name or "").split(".")[0]
            raise UserError(
                f"{what} needs the package {missing!r}, which is not installed: pip install {missing}"
            ) from error
        except Exception as error:
            raise UserError(f"{what} ({entry.component.target}) cannot be imported: {in_one_line(error)}") from error
        self._targets[entry.component.target] = value
        return value


def _built_ins() -> Plugin:
    """The built-in components, registered by the same hooks as anyone's."""
    try:
        version = importlib.metadata.version(BUILT_IN)
    except importlib.metadata.PackageNotFoundError:
        from artv import __version__ as version
    return Plugin(
        name="defaults",
        distribution=BUILT_IN,
        version=version,
        source="built in",
        load=lambda: importlib.import_module("artv_eval.plugins.builtin"),
    )


def _note_shared_names(plugins: Sequence[Plugin]) -> None:
    """Two distributions may give their entry points one name: both work, but which is meant must be said."""
    present = [plugin for plugin in plugins if plugin.status != "blocked"]
    for plugin in present:
        twins = [other.key for other in present if other.name == plugin.name and other is not plugin]
        if twins:
            others = " ".join(f"-p no:{twin}" for twin in twins)
            plugin.faults.append(
                f"its entry-point name {plugin.name!r} is also that of {' and '.join(twins)} (to go without: {others})"
            )
