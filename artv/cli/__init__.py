"""The command ``artv``: data, train, sample. Commands import torch when they run, so that ``--help`` is quick."""

import errno
import os
import sys

import typer

from artv.cli.application import lenient_output, run
from artv.cli.data import data
from artv.cli.sample import sample
from artv.cli.train import train
from artv.errors import UserError, WorkFailed

SPIN = "20000"
"""Turns that an idle OpenMP thread spins: the default, forever, is ruinous when something else wants the core."""

app = typer.Typer(
    name="artv",
    help="ART-V, text-to-video one frame at a time: data, train, sample.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich is slow to import
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")
app.command()(train)
app.command()(sample)


def main() -> None:
    """Runs a command; mistakes end in one line and exit code 2, failures under way in one line and 1."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
    lenient_output()
    try:
        run(app, name="artv")
    except UserError as error:
        _end(2, str(error))
    except WorkFailed as error:
        _end(1, str(error))
    except OSError as error:
        full = " (disk full)" if error.errno == errno.ENOSPC else ""
        _end(1, f"{error.strerror or error}{full}: {error.filename or 'while writing'}; what was finished is kept")
    except KeyboardInterrupt:
        _end(130, "interrupted; run the same command again to continue")


def _end(code: int, message: str) -> None:
    print(f"artv: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
