"""``artv-eval plan``: what a sweep would make and cost, and what two sweeps share."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from artv.ending import echo
from artv_eval.cli.common import check_above_zero, quiet_stdout
from artv_eval.cli.sweep_options import SweepArguments, with_sweep_options
from artv_eval.plugins.manager import PluginManager

if TYPE_CHECKING:
    from artv_eval.sweep.costs import Costs
    from artv_eval.sweep.prepare import Prepared

JSON = Annotated[bool, typer.Option("--json", help="For other programs.")]


class _ShowsFirst(TyperGroup):
    """``plan FILE`` and ``plan --ablation …`` are ``plan show`` of them."""

    default = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Says what a sweep would make and cost (plan FILE|OPTIONS), and what two share.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=_ShowsFirst,
)


@app.command()
@with_sweep_options
def show(
    context: typer.Context,
    asked: SweepArguments,
    probe: Annotated[float, typer.Option(help="Seconds for making clips that say what a clip costs.")] = 20.0,
    no_probe: Annotated[bool, typer.Option("--no-probe", help="Estimate nothing, make nothing.")] = False,
    as_json: JSON = False,
) -> None:
    """Lists cells with their ids, trainings and clips, device hours, kWh and room; plan FILE|OPTIONS for short."""
    check_above_zero(probe=probe)
    with quiet_stdout():
        from artv_eval.sweep.overview import document, text
        from artv_eval.sweep.prepare import prepare

        manager = PluginManager(context.obj)
        prepared = prepare(manager, asked.read(context, manager).options())
        costs = None if no_probe else _costs(prepared, probe)
        shown = json.dumps(document(prepared, costs), indent=2) if as_json else text(prepared, costs)
    echo(shown)


def _costs(prepared: "Prepared", seconds: float) -> "Costs":
    from artv_eval.sweep.costs import costs_of
    from artv_eval.sweep.overview import left_of, trainings_of

    left = {key: item.clips for key, item in left_of(prepared).items()}
    return costs_of(prepared, left, trainings_of(prepared), seconds, prepared.run)


@app.command()
def diff(
    context: typer.Context,
    a: Annotated[str, typer.Argument(help="A plan file, or a run folder.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    as_json: JSON = False,
) -> None:
    """Says which cells, clips and trainings two plans or runs share: what one makes, the other finds."""
    with quiet_stdout():
        from artv_eval.sweep.plan_diff import compared, lines, side

        manager = PluginManager(context.obj)
        sides = side(manager, a), side(manager, b)
        shown = json.dumps(compared(*sides), indent=2) if as_json else "\n".join(lines(*sides))
    echo(shown)
