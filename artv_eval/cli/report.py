"""``artv-eval report``: shows a finished run again."""

from pathlib import Path
from typing import Annotated

import typer

from artv_eval.cli.common import complete, quiet_stdout, reporter, say
from artv_eval.plugins import PluginManager


def report(
    context: typer.Context,
    run: Annotated[list[str], typer.Argument(help="Run folders; several are put in one table if protocols allow.")],
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write the page, with clips, to this file.")] = None,
    format_: Annotated[
        str,
        typer.Option("--format", help="table, json, csv, markdown, latex.", autocompletion=complete("reporters")),
    ] = "table",
) -> None:
    """Shows the results of runs. Refuses to put two protocols in one column."""
    render = reporter(PluginManager(context.obj), format_)
    with quiet_stdout():
        from artv_eval.report.html import load_run, page
        from artv_eval.results import merged
        from artv_eval.store import write_atomically

        loaded = [load_run(Path(folder)) for folder in run]
        results = merged([item for item, _ in loaded])
        text = render(results)
        if html is not None:
            write_atomically(Path(html), page(results, loaded[0][1] if len(loaded) == 1 else None).encode())
            say(f"wrote {html}")
    typer.echo(text, nl=False)
