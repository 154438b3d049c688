"""``artv-eval``: one file a command. Nothing heavy is imported here, so that ``--help`` answers at once."""

import argparse
import os
import sys
from collections.abc import Sequence

import typer

from artv.cli.application import Version, lenient_output, run
from artv.ending import one_line
from artv_eval.cli import (
    card,
    compare,
    doctor,
    efficiency,
    gc,
    merge,
    plan,
    plugins,
    power,
    protocols,
    reference,
    report,
    score,
    sensitivity,
    serve,
    sweep,
    verify,
    watch,
)
from artv_eval.cli.completion import take_options
from artv_eval.errors import UserError
from artv_eval.plugins.blame import plugins_blamed
from artv_eval.plugins.manager import PluginManager, PluginOptions

COMPLETING = "_ARTV_EVAL_COMPLETE"  # set by the shell's completion script

app = typer.Typer(
    name="artv-eval",
    help="Evaluates and ablates text-to-video diffusion: cells, clips, metrics with intervals, reports.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Before or after any command: -p NAME loads only that plugin, -p no:NAME all but that one (decided before "
    "anything of it is imported; also ARTV_EVAL_PLUGINS=no:NAME,…); --plugins-dir DIR loads every *.py in DIR as a "
    "plugin; --strict-plugins exits with 2 if anything is wrong with any plugin; --lenient-plugins uses those that "
    "print or are slow when imported, or share their name, which otherwise stop whatever needs them.",
)


@app.callback()
def _options(version: Version = False) -> None:
    pass


app.command(epilog=sweep.ablations())(sweep.sweep)
app.add_typer(plan.app, name="plan")
app.add_typer(reference.app, name="reference")
app.command()(merge.merge)
app.command()(verify.verify)
app.command("gc")(gc.collect)
app.command()(score.score)
app.command()(sensitivity.sensitivity)
app.command()(report.report)
app.command()(power.power)
app.command()(compare.compare)
app.command()(card.card)
app.command()(serve.serve)
app.command()(watch.watch)
app.command()(efficiency.efficiency)
app.command()(doctor.doctor)
app.add_typer(protocols.app, name="protocols")
app.add_typer(plugins.app, name="plugins")


def plugin_options(arguments: Sequence[str]) -> tuple[PluginOptions, list[str]]:
    """Takes the options about plugins, which may stand anywhere, out of the command line.

    >>> plugin_options(["sweep", "-p", "no:mine", "--ablation", "mask"])
    (PluginOptions(select=('no:mine',), folders=(), strict=False, lenient=False), ['sweep', '--ablation', 'mask'])
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-p", action="append", default=[], metavar="NAME|no:NAME")
    parser.add_argument("--plugins-dir", action="append", default=[], metavar="DIR")
    parser.add_argument("--strict-plugins", action="store_true")
    parser.add_argument("--lenient-plugins", action="store_true")
    try:
        known, rest = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise UserError(f"{error}; see artv-eval --help") from None
    for option, given in (("-p", known.p), ("--plugins-dir", known.plugins_dir)):
        if empty := [value for value in given if not value.strip()]:
            raise UserError(f"{option} is {empty[0]!r}; give what it is for, or leave it out")
    options = PluginOptions(
        select=tuple(known.p),
        folders=tuple(known.plugins_dir),
        strict=known.strict_plugins,
        lenient=known.lenient_plugins,
    )
    return options, rest


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exits 0 on success, 2 on a user's mistake, 1 when work failed, 130 when interrupted."""
    # an idle OpenMP thread spins forever by default: ruinous when something else wants the core
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # whatever is not here is a status with the command that fetches it: nothing is downloaded in mid-run
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    lenient_output()
    with one_line("artv-eval"), plugins_blamed():
        if COMPLETING in os.environ:
            run(app, [], name="artv-eval", obj=take_options(os.environ, plugin_options))
        options, rest = plugin_options(sys.argv[1:] if arguments is None else arguments)
        if rest in (["plugins", "list"], ["plugins", "list", "--json"]):
            # typer imports pydantic to parse any command line, which takes longer than this command does
            plugins.print_list(PluginManager(options), as_json="--json" in rest)
            return
        run(app, rest, name="artv-eval", obj=options)
