"""``artv-eval serve``: the reports of runs in a browser, growing ones too."""

from pathlib import Path
from typing import Annotated

import typer

from artv_eval.cli.common import say


def serve(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold some.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; by default only this machine can ask.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8011,
) -> None:
    """Shows the reports of runs in a browser; those that still grow are listed with how far they are."""
    from artv_eval.report.serve import server

    with server(runs, host, port) as listening:
        say(f"http://{host}:{listening.server_port}/ (Ctrl-C ends it)")
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            say("ended")
