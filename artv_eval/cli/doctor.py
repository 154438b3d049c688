"""``artv-eval doctor``: what works here, and what to fetch for the rest."""

import json
from typing import Annotated

import typer

from artv.ending import echo
from artv_eval.cli.common import quiet_stdout
from artv_eval.plugins.manager import PluginManager


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Says what is installed, which weights are where, and what works offline. Downloads nothing."""
    with quiet_stdout():
        from artv_eval.doctor import examine, lines

        found = examine(PluginManager(context.obj))
    echo(json.dumps(found, indent=2) if as_json else "\n".join(lines(found)))
