"""The command ``artv``: data, train, sample. Commands import torch when they run, so that ``--help`` is quick."""

import os

import typer

from artv.cli.application import Version, lenient_output, run
from artv.cli.data import data
from artv.cli.sample import sample
from artv.cli.train import train
from artv.ending import one_line

SPIN = "20000"
"""Turns that an idle OpenMP thread spins: the default, forever, is ruinous when something else wants the core."""

app = typer.Typer(
    name="artv",
    help="ART-V, text-to-video one frame at a time: data, train, sample.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich is slow to import
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(version: Version = False) -> None:
    pass


app.add_typer(data, name="data")
app.command()(train)
app.command()(sample)


def main() -> None:
    """Runs a command; mistakes end in one line and exit code 2, failures under way in one line and 1."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
    lenient_output()
    with one_line("artv"):
        run(app, name="artv")
