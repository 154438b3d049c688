"""``artv-eval compare``: runs of one protocol against each other."""

from pathlib import Path
from typing import Annotated

import typer

from artv.ending import echo
from artv_eval.cli.common import Format, plugins_and_reporter, quiet_stdout


def compare(
    context: typer.Context,
    runs: Annotated[
        list[str], typer.Argument(help="Run folders of one protocol; the first is compared with the others.")
    ],
    format_: Format = "table",
) -> None:
    """Compares runs in pairs of clips: the first cell of the first run with every cell of the others."""
    manager, render = plugins_and_reporter(context, format_)
    with quiet_stdout():
        from artv.errors import UserError
        from artv_eval.report.html import load_run
        from artv_eval.sweep.across import Run, across

        found: dict[str, Run] = {}
        for folder in runs:
            name = Path(folder).resolve().name
            if name in found:
                raise UserError(
                    f"{folder}: a run named {name!r} is given already; runs to compare need names of their own"
                )
            results, store = load_run(Path(folder))
            found[name] = Run(results=results, store=store)
        text = render(across(found, manager))
    echo(text, nl=False)
