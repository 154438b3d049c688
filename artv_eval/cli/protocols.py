"""``artv-eval protocols``: the cards, every choice that a number depends on."""

import json
from typing import Annotated, Any

import typer

from artv_eval.cli.common import complete, quiet_stdout
from artv_eval.plugins import PluginManager

app = typer.Typer(help="Lists and shows protocol cards.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Lists the protocols with their hashes."""
    manager = PluginManager(context.obj)
    with quiet_stdout():
        rows = [_row(manager, name) for name in manager.names("protocols")]
    if as_json:
        typer.echo(json.dumps({"protocols": rows}, indent=2))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        typer.echo(f"{row['name']:{width}}  {row['hash'] or '–':12}  {row['summary']}")


def _row(manager: PluginManager, name: str) -> dict[str, Any]:
    from artv.errors import UserError
    from artv_eval.build import build, recipe

    row: dict[str, Any] = {"name": name, "hash": None, "summary": "", "distribution": None}
    try:
        entry = manager.find("protocols", name)
    except UserError as error:  # two have this name, or its plugin is at fault: the others are listed
        return row | {"summary": str(error)}
    row |= {"summary": entry.component.summary, "distribution": entry.plugin.distribution}
    try:
        card = build(manager, recipe(manager, "protocols", name))
    except UserError:  # one that needs settings, such as a file
        return row
    return row | {"hash": card.hash}


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A protocol, or a YAML file.", autocompletion=complete("protocols"))],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Shows all fields of a protocol."""
    manager = PluginManager(context.obj)
    with quiet_stdout():
        from artv_eval.build import build
        from artv_eval.sweep import protocol_recipe

        protocol = build(manager, protocol_recipe(manager, name, {}))
        card = getattr(protocol, "card", None)
        fields = card.model_dump(mode="json") if card is not None else {"name": protocol.name}
    fields = {**fields, "hash": protocol.hash}
    if as_json:
        typer.echo(json.dumps(fields, indent=2))
        return
    import yaml

    typer.echo(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=100), nl=False)
