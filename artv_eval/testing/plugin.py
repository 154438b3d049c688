"""Contract of a plugin as a whole: it loads, and everything it registers can be found and imported."""

from collections.abc import Sequence

from artv_eval.plugins.components import KINDS
from artv_eval.plugins.discovery import Plugin
from artv_eval.plugins.manager import PluginManager, PluginOptions


def check_plugin(name: str, *, folders: Sequence[str] = ()) -> Plugin:
    """An installed plugin by its name (or a one-file plugin in ``folders``).

    Checks that it loads without failure or warning, that no component's name is another's, that every target can be
    imported, and that it is documented. Returns the plugin.
    """
    manager = PluginManager(PluginOptions(folders=tuple(folders)))
    found = [plugin for plugin in manager.plugins if name in plugin.names]
    assert found, f"no plugin {name!r} is installed; there are {', '.join(plugin.name for plugin in manager.plugins)}"
    plugin = found[0]
    assert plugin.status == "loaded", f"the plugin is {plugin.status}: {plugin.error}"
    faults = plugin.faults + plugin.warnings
    assert not faults, f"the plugin has a fault: {faults[0]}"
    for entry in (entry for entry in manager.entries if entry.plugin is plugin):
        manager.find(entry.kind, entry.component.name)
        target = manager.target(entry)
        what = f"{KINDS[entry.kind].role} {entry.component.name!r}"
        assert callable(target), f"the target of {what} is a {type(target).__name__}; it must be callable"
        assert target.__doc__, f"{entry.component.target} of {what} has no docstring: plugins show would be empty"
    return plugin
