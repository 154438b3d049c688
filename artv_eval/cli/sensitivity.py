"""``artv-eval sensitivity``: how much of a value is convention."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from artv_eval.cli.common import complete, quiet_stdout, say
from artv_eval.plugins import PluginManager


def sensitivity(
    context: typer.Context,
    real: Annotated[str, typer.Option(metavar="DIR", help="Real video files.")],
    fake: Annotated[str, typer.Option(metavar="DIR", help="Generated video files.")],
    features: Annotated[str, typer.Option(help="Extractor.", autocompletion=complete("features"))] = "i3d",
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 16,
    fps: Annotated[float | None, typer.Option(help="Rate to compare at. Default: the files' own.")] = None,
    size: Annotated[int, typer.Option(help="Pixels that frames are scaled to before the extractor.")] = 224,
    strides: Annotated[str, typer.Option(help="Comma-separated.")] = "1,2",
    device: Annotated[str, typer.Option(help="cpu, cuda …")] = "cpu",
    format_: Annotated[str, typer.Option("--format", help="table, json or csv.")] = "table",
) -> None:
    """FVD of the same clips under resize filter × stride × covariance × number of clips."""
    from artv.errors import UserError, closest

    formats = ("table", "json", "csv")
    if format_ not in formats:
        raise UserError(f"--format is {format_!r}; {closest(format_, formats)}")
    try:
        numbers = [int(word) for word in strides.split(",")]
    except ValueError:
        raise UserError(f"--strides is {strides!r}; it must be numbers with commas, for example 1,2") from None
    if frames < 2 or size < 1 or min(numbers) < 1 or (fps is not None and fps <= 0):
        raise UserError(
            f"frames {frames}, size {size}, strides {strides}, fps {fps}: frames at least 2, the rest above 0"
        )
    manager = PluginManager(context.obj)
    notes: list[str] = []
    with quiet_stdout():
        from artv_eval.build import build, recipe
        from artv_eval.decoding import Window
        from artv_eval.folders import default_cache
        from artv_eval.sensitivity import sensitivity as run

        evaluator = build(manager, recipe(manager, "metrics", "fvd", {"feature": features}), {"device": device})
        rows = run(
            real, fake, evaluator, Window(frames=frames, fps=fps), size=size, strides=numbers, cache=default_cache(),
            on_choice=lambda filter, stride: say(f"{filter}, stride {stride}"), on_note=notes.append,
        )  # fmt: skip
    if format_ == "json":
        typer.echo(json.dumps({"rows": [asdict(row) for row in rows], "notes": notes}, indent=2))
    elif format_ == "csv":
        typer.echo("filter,stride,covariance,n,fvd,change")
        for row in rows:
            typer.echo(f"{row.filter},{row.stride},{row.covariance},{row.n},{row.fvd},{row.change}")
    else:
        _table(rows)
    if format_ != "json":
        for note in notes:
            say(note)


def _table(rows: list) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="FVD by convention; change against the first row", title_justify="left")
    for name in ("filter", "stride", "covariance", "n", "fvd", "change"):
        table.add_column(name, justify="left" if name in ("filter", "covariance") else "right")
    for row in rows:
        values = (row.filter, row.stride, row.covariance, row.n, f"{row.fvd:.2f}", f"{row.change:+.1%}")
        table.add_row(*map(str, values))
    Console().print(table)
