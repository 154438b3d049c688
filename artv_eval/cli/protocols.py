"""``artv-eval protocols``: the cards, every choice that a number depends on."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from artv.ending import echo
from artv_eval.cli.common import complete, quiet_stdout, read_settings
from artv_eval.extras import ProtocolExtras, optional
from artv_eval.plugins.manager import PluginManager

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
        echo(json.dumps({"protocols": rows}, indent=2))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        echo(f"{row['name']:{width}}  {row['hash'] or '–':12}  {row['summary']}")


def _row(manager: PluginManager, name: str) -> dict[str, Any]:
    from artv.errors import UserError
    from artv_eval.plugins.recipe import build, recipe

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
    set_: Annotated[
        list[str], typer.Option("--set", metavar="protocol.FIELD=VALUE", help="A setting, such as protocol.root.")
    ] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Shows all fields of a protocol, as a card to begin one's own with; what is no field is a comment."""
    manager = PluginManager(context.obj)
    with quiet_stdout():
        from artv_eval.plugins.recipe import build
        from artv_eval.sweep.assignments import Assignments
        from artv_eval.sweep.metric_recipes import protocol_recipe

        assignments = Assignments(read_settings(None, set_))
        protocol = build(manager, protocol_recipe(manager, name, assignments.take("protocol")))
        assignments.finish(manager)
        _check_metrics(manager, protocol)
        card = optional(protocol, ProtocolExtras, "card")
        fields = card.model_dump(mode="json") if card is not None else {"name": protocol.name}
        known = {"hash": protocol.hash, "reference_digest": optional(protocol, ProtocolExtras, "reference_digest")}
        said = optional(protocol, ProtocolExtras, "conventions")()
    if as_json:
        echo(json.dumps({**fields, **known}, indent=2))
        return
    import yaml

    for line in [*_comments(card, **known), *([said] if said else [])]:
        echo(f"# {line}")
    echo(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=100), nl=False)


def _check_metrics(manager: PluginManager, protocol: Any) -> None:
    """Raises UserError where a metric, an extractor or a setting that the protocol names does not exist."""
    from artv_eval.sweep.assignments import Assignments
    from artv_eval.sweep.metric_recipes import Conventions, metric_recipe

    fixed = Conventions.of(protocol)
    asked = [*optional(protocol, ProtocolExtras, "metrics"), *fixed.by_name, *_examples(manager, fixed.by_extractor)]
    for name in dict.fromkeys(asked):
        metric_recipe(manager, name, fixed, Assignments({}))


def _examples(manager: PluginManager, kinds: Iterable[str]) -> Iterator[str]:
    """For each kind of extractor a metric that takes it, the first there is: one stands for all of them."""
    from artv_eval.features.base import described_by
    from artv_eval.plugins.components import KINDS
    from artv_eval.plugins.recipe import settings_of

    left = set(kinds)
    for name in manager.names("metrics") if left else ():
        known, _ = settings_of(manager.target(manager.find("metrics", name)), KINDS["metrics"])
        if "feature" in known and (kind := described_by(known["feature"].annotation)) in left:
            left.remove(kind)
            yield name
        if not left:
            return


def _comments(card: Any, hash: str, reference_digest: str | None) -> list[str]:
    lines = [f"hash: {hash}"]
    if card is not None and card.reference.dataset == "none":
        where = "give your list with --set protocol.prompts=FILE"
        lines.append(f"digest of the prompts: {reference_digest or f'{where}; the hash then covers it'} "
                     "(prompts.digest pins it)")  # fmt: skip
    elif card is not None and not card.reference.dataset.startswith("shapes"):
        where = "give your copy of the data with --set protocol.root=DIR"
        lines.append(
            f"digest of the reference files: {reference_digest or f'{where}; the hash then covers it too'} "
            "(reference.digest pins it)"
        )
    return lines
