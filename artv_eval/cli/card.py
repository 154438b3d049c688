"""``artv-eval card``: a model card for the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

import typer

from artv.ending import echo
from artv_eval.cli.common import quiet_stdout


def card(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    cell: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose values; default: the first cell that is no sanity cell.")
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="Of the weights, by the hub's name for it, such as apache-2.0.")
    ] = None,
) -> None:
    """Prints a model card for the Hugging Face hub, with a run's values as model-index: the README.md of a model."""
    with quiet_stdout():
        from artv_eval.report.html import load_run
        from artv_eval.report.model_card import model_card
        from artv_eval.results.documents import Manifest, read_json

        results, store = load_run(run)
        text = model_card(results, read_json(store.root / "manifest.json", Manifest), cell, license_)
    echo(text)
