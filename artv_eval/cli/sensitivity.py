"""``artv-eval sensitivity``: how much of a value is convention."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from artv.ending import echo
from artv_eval.cli.common import (
    MOST_FPS,
    DryRun,
    check_above_zero,
    check_least,
    check_share,
    complete,
    quiet_stdout,
    say,
    video_reader,
)
from artv_eval.plugins.manager import PluginManager


def sensitivity(
    context: typer.Context,
    real: Annotated[str, typer.Option(metavar="DIR", help="Real video files.")],
    fake: Annotated[str, typer.Option(metavar="DIR", help="Generated video files.")],
    features: Annotated[str, typer.Option(help="Extractor.", autocompletion=complete("features"))] = "i3d",
    protocol: Annotated[
        str,
        typer.Option(
            help="Card whose clips these are like: says which features fit.", autocompletion=complete("protocols")
        ),
    ] = "files",
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 16,
    fps: Annotated[float | None, typer.Option(help="Rate to compare at. Default: the files' own.")] = None,
    size: Annotated[int, typer.Option(help="Pixels that frames are scaled to before the extractor.")] = 224,
    strides: Annotated[
        str | None, typer.Option(help="Comma-separated. Default: 1 and, where the clips are long enough, 2.")
    ] = None,
    numbers: Annotated[
        str | None, typer.Option(help="Clips of each folder, comma-separated. Default: all, a half and a quarter.")
    ] = None,
    reader: Annotated[
        str, typer.Option(help="Reads the files; see docs/readers.md.", autocompletion=complete("readers"))
    ] = "decord",
    bad_files: Annotated[
        float, typer.Option(help="Share of a folder's files that may be left out as unreadable or too short.")
    ] = 0.01,
    device: Annotated[str, typer.Option(help="cpu, cuda …")] = "cpu",
    workers: Annotated[int | None, typer.Option(help="Decoding processes. Default: one a core, at most 16.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that one file may take to decode.")] = 60.0,
    format_: Annotated[str, typer.Option("--format", help="table, json or csv.")] = "table",
    dry_run: DryRun = False,
) -> None:
    """FVD of the same clips under resize filter × stride × covariance × number of clips."""
    from artv.errors import UserError, closest
    from artv.requests import MOST_FRAMES, MOST_PIXELS

    formats = ("table", "json", "csv")
    if format_ not in formats:
        raise UserError(f"--format is {format_!r}; {closest(format_, formats)}")
    check_least(2, MOST_FRAMES, frames=frames)
    check_least(1, MOST_PIXELS, size=size)
    check_least(0, 1_000, workers=workers)
    check_above_zero(MOST_FPS, fps=fps)
    check_above_zero(timeout=timeout)
    check_share(bad_files=bad_files)
    every, sizes = _integers("strides", strides, 1), _integers("numbers", numbers, 2)
    manager = PluginManager(context.obj)
    notes: list[str] = []
    with quiet_stdout():
        from artv.devices import chosen_device
        from artv_eval.files.decoding import Excerpt
        from artv_eval.files.describe import WORKERS, default_cache, video_files
        from artv_eval.files.sensitivity import sensitivity as run
        from artv_eval.plugins.recipe import build, recipe
        from artv_eval.results.csv_text import csv_text
        from artv_eval.results.rows import BadFile, plain_row
        from artv_eval.sweep.metric_recipes import another_world, protocol_recipe

        chosen_device(device)
        bad: list[BadFile] = []
        excerpt = Excerpt(frames=frames, fps=fps, reader=video_reader(manager, reader))
        evaluator = build(manager, recipe(manager, "metrics", "fvd", {"feature": features}), {"device": device})
        if why := another_world(evaluator, build(manager, protocol_recipe(manager, protocol, {}))):
            raise UserError(f"--features {features}: {why}; give --features i3d, or their card with --protocol")
        if dry_run:
            files = [len(video_files(folder)) for folder in (real, fake)]
            say(f"would describe {files[0]} real and {files[1]} generated files under every convention by {features}")
            return
        rows = run(
            real, fake, evaluator, excerpt, size=size, strides=every, numbers=sizes,
            cache=default_cache(), workers=WORKERS if workers is None else workers, timeout=timeout,
            on_choice=lambda filter, stride: say(f"{filter}, stride {stride}"), on_note=notes.append,
            on_bad=bad.append, bad_files=bad_files,
        )  # fmt: skip
    if format_ == "json":
        found = {"rows": [asdict(row) for row in rows], "notes": notes, "bad_files": [plain_row(file) for file in bad]}
        echo(json.dumps(found, indent=2, allow_nan=False))
    elif format_ == "csv":
        columns = ("filter", "stride", "covariance", "n", "fvd", "change")
        echo(csv_text(columns, [(r.filter, r.stride, r.covariance, r.n, r.fvd, r.change) for r in rows]), nl=False)
    else:
        echo(_table(rows), nl=False)
    if format_ != "json":
        for note in notes:
            say(note)


def _integers(name: str, text: str | None, least: int) -> list[int] | None:
    """The numbers between commas, each at least ``least``; None if nothing was given."""
    from artv.errors import UserError

    if text is None:
        return None
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        raise UserError(f"--{name} is {text!r}; it must be numbers with commas, for example 2,4") from None
    for number in found:
        check_least(least, **{name: number})
    return found


def _table(rows: list) -> str:
    from artv_eval.report.terminal import texts

    head = ("filter", "covariance", "stride", "n", "fvd", "change")
    body = [
        (row.filter, row.covariance, str(row.stride), str(row.n), f"{row.fvd:.2f}",
         "–" if row.change is None else f"{row.change:+.1%}")
        for row in rows
    ]  # fmt: skip
    return texts(head, body, (), title="FVD by convention; change against the first row", left=2)
