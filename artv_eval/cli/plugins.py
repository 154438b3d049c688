"""``artv-eval plugins``: what is installed, what is wrong with it, and what a component can be set to."""

import inspect
import json
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from artv.ending import echo
from artv.errors import UserError, closest
from artv_eval.plugins.components import KINDS
from artv_eval.plugins.manager import Entry, PluginManager

app = typer.Typer(help="Lists, explains and makes plugins.", no_args_is_help=True, rich_markup_mode=None)


def complete_plugin(context: typer.Context, incomplete: str) -> list[str]:
    """Shell completion: plugins and components."""
    manager = PluginManager(context.obj)
    names = {plugin.name for plugin in manager.plugins} | {entry.component.name for entry in manager.entries}
    return sorted(name for name in names if name.startswith(incomplete))


@app.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Lists the plugins with version, status, faults and components."""
    print_list(PluginManager(context.obj), as_json)


def print_list(manager: PluginManager, as_json: bool) -> None:
    """What ``plugins list`` prints."""
    if as_json:
        echo(json.dumps(listing(manager), indent=2))
        return
    for plugin in manager.plugins:
        echo(f"{plugin.name}  {plugin.status}  ({plugin.distribution} {plugin.version}, {plugin.source})")
        if plugin.error:
            echo(f"    error: {plugin.error}")
        for fault in plugin.faults:
            echo(f"    fault: {fault}")
        for warning in plugin.warnings:
            echo(f"    warning: {warning}")
        for kind, components in plugin.components.items():
            if components:
                echo(f"    {kind}: {', '.join(component.name for component in components)}")
    for (kind, name), entries in manager.clashes().items():
        choices = " or ".join(entry.qualified for entry in entries)
        echo(f"clash: {KINDS[kind].role} {name!r} is registered more than once; use {choices}")


def listing(manager: PluginManager) -> dict[str, Any]:
    """What ``plugins list --json`` prints."""
    return {
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "source": plugin.source,
                "status": plugin.status,
                "error": plugin.error,
                "faults": plugin.faults,
                "warnings": plugin.warnings,
                "kinds": sorted(kind for kind, components in plugin.components.items() if components),
                "components": [
                    {"kind": kind, "name": component.name, "target": component.target, "summary": component.summary}
                    for kind, components in plugin.components.items()
                    for component in components
                ],
            }
            for plugin in manager.plugins
        ],
        "clashes": [
            {"kind": kind, "name": name, "components": [entry.qualified for entry in entries]}
            for (kind, name), entries in manager.clashes().items()
        ],
    }


@app.command()
def show(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="A plugin, or a component ([distribution/]name).", autocompletion=complete_plugin)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Shows a component's settings with their defaults, and its documentation."""
    manager = PluginManager(context.obj)
    entries = [e for e in manager.entries if name in (e.component.name, e.qualified) or name in e.plugin.names]
    failed = [plugin for plugin in manager.plugins if name in plugin.names and plugin.status == "failed"]
    if failed:
        raise UserError(f"plugin {failed[0].key} failed: {failed[0].error}")
    if not entries:
        known = {plugin.name for plugin in manager.plugins} | {e.component.name for e in manager.entries}
        raise UserError(f"no plugin or component is named {name!r}; {closest(name, known)}")
    shown = [explanation(manager, entry) for entry in entries]
    if as_json:
        echo(json.dumps(shown, indent=2))
        return
    for item in shown:
        echo(f"{KINDS[item['kind']].role} {item['name']} ({item['distribution']} {item['version']})")
        echo(f"    {item['summary']}\n    {item['target']}")
        if item["error"]:
            echo(f"    error: {item['error']}")
        for setting in item["settings"]:
            default = "required" if setting["required"] else f"default {setting['default']}"
            prefix = KINDS[item["kind"]].assigned(item["name"])
            how = f"{setting['name']} (no command sets it)" if prefix is None else f"--set {prefix}.{setting['name']}=…"
            echo(f"    {how}  {setting['type']}, {default}")
        if item["documentation"]:
            echo("\n" + "\n".join(f"    {line}" for line in item["documentation"].splitlines()) + "\n")


def explanation(manager: PluginManager, entry: Entry) -> dict[str, Any]:
    """A component, its settings and its documentation; ``error`` if it cannot be imported."""
    from artv_eval.plugins.recipe import settings_of

    shown: dict[str, Any] = {
        **entry.provenance(),
        "target": entry.component.target,
        "summary": entry.component.summary,
        "settings": [],
        "documentation": None,
        "error": None,
    }
    try:
        target = manager.target(entry)
    except UserError as error:
        return shown | {"error": str(error)}
    settings, _ = settings_of(target, KINDS[entry.kind])
    return shown | {
        "documentation": inspect.getdoc(target),
        "settings": [
            {
                "name": setting.name,
                "type": type_name(setting.annotation),
                "required": setting.default is inspect.Parameter.empty,
                "default": None if setting.default is inspect.Parameter.empty else repr(setting.default),
            }
            for setting in settings.values()
        ],
    }


def type_name(annotation: Any) -> str:
    """An annotation as its author wrote it, without ranges: what is refused says its own."""
    if annotation in (Any, inspect.Parameter.empty):
        return "any"
    if get_origin(annotation) is UnionType or get_origin(annotation) is Union:
        return " | ".join(map(type_name, get_args(annotation)))
    if get_origin(annotation) is Annotated:
        return type_name(get_args(annotation)[0])
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the distribution, like my-sampler.")],
    kind: Annotated[
        list[str],
        typer.Option(
            help="What it registers; may be given several times. Default: samplers, metrics.",
            autocompletion=lambda incomplete: [kind for kind in KINDS if kind.startswith(incomplete)],
        ),
    ] = [],  # noqa: B006 typer wants a list here and copies it
    out: Annotated[str, typer.Option(metavar="DIR", help="Where to write the folder.")] = ".",
) -> None:
    """Writes a plugin from a template: it installs, passes its tests and runs as it is."""
    from pathlib import Path

    from artv_eval.plugins.scaffold import new_plugin, trials

    root = new_plugin(name, kind, Path(out))
    steps = [f'pip install -e "{root}[test]"', "artv-eval plugins list", f"python -m pytest {root}"]
    echo(f"wrote {root}; next:")
    echo("".join(f"    {command}\n" for command in (*steps, *(trial for _, trial in trials(name, kind)))), nl=False)
