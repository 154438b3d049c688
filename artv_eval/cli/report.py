"""``artv-eval report``: shows a finished run again."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from artv.ending import echo
from artv_eval.cli.common import Format, plugins_and_reporter, quiet_stdout, say

if TYPE_CHECKING:
    from artv_eval.results.rows import Results


def report(
    context: typer.Context,
    run: Annotated[
        list[str],
        typer.Argument(
            help="Run folders, of trainings too, or RUN/results/NAME.json; several are one table if protocols allow."
        ),
    ],
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write the page, with clips, to this file.")] = None,
    plots: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write every picture of the page into this folder, for a paper.")
    ] = None,
    plot_format: Annotated[str, typer.Option(help="Of --plots: comma-separated, of svg, png, pdf.")] = "svg,png,pdf",
    by: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="Rows by a label of the clips, such as pans or returns of shapes@2."),
    ] = None,
    power: Annotated[
        list[str],
        typer.Option(metavar="METRIC=SIZE", help="Say how many clips a cell finding a difference of this size takes."),
    ] = [],  # noqa: B006
    speed: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A speed card (efficiency --streaming --out): quality against its rates."),
    ] = None,
    to: Annotated[
        list[str],
        typer.Option(
            metavar="NAME[:WHERE]",
            help="Also send values, curves and clips to tensorboard[:FOLDER], wandb[:PROJECT] or mlflow[:URI].",
        ),
    ] = [],  # noqa: B006
    format_: Format = "table",
) -> None:
    """Shows the results of runs. Refuses to put two protocols in one column."""
    _, render = plugins_and_reporter(context, format_)
    if plots is not None:
        from artv.requests import check_writable

        check_writable(Path(plots) / "figure.svg")
    with quiet_stdout():
        from dataclasses import replace

        from artv_eval.report.html import load_run, page
        from artv_eval.report.lengths import worth_of_rows
        from artv_eval.report.tracked import tracked
        from artv_eval.report.trackers import tracker
        from artv_eval.results.documents import read_json
        from artv_eval.results.merged import merged

        targets = [tracker(asked) for asked in to]
        loaded = [load_run(Path(folder)) for folder in run]
        results, store = merged(_named(run, [item for item, _ in loaded])), loaded[0][1] if len(loaded) == 1 else None
        more = [line for asked in power for line in _needed(results, asked)]
        more += worth_of_rows(results) if len(loaded) > 1 else []
        results = replace(results, notes=[*results.notes, *more])
        if speed is not None:
            from artv_eval.report.speed_cards import read_speed, steps_ran, with_speed

            paths = [its.root / "manifest.json" for _, its in loaded if its is not None]
            ran = [steps_ran(read_json(path)) for path in paths if path.is_file()]
            results = with_speed(results, read_speed(Path(speed)), {k: v for its in ran for k, v in its.items()})
        if by is not None:
            from artv_eval.report.by_label import read_csv, split_by

            labels = {i: values for folder in run for i, values in read_csv(Path(folder) / "labels.csv").items()}
            results = split_by(results, labels, by)
        text = render(results)
        if html is not None:
            _write(html, page(results, store))
        for send in targets:
            for its, its_store in loaded:
                say(f"wrote {send(tracked(its, its_store))}")
        if plots is not None:
            from artv_eval.report.figures import write_figures

            for path in write_figures(results, Path(plots), plot_format.split(","), store):
                say(f"wrote {path}")
    echo(text, nl=False)


def _named(run: Sequence[str], several: "Sequence[Results]") -> "dict[str, Results]":
    """By the names of the folders and files, or by all of the path where two have the same."""
    names = [Path(given).resolve().stem if Path(given).is_file() else Path(given).resolve().name for given in run]
    same = len(set(names)) < len(names)
    return dict(zip(run if same else names, several, strict=True))


def _write(html: str, text: str) -> None:
    import errno

    from artv.errors import UserError
    from artv.files import write_text_atomically

    if not Path(html).name:
        raise UserError(f"--html is {html!r}; give the name of a file")
    try:
        write_text_atomically(Path(html), text)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"--html is {html!r}, which cannot be written to ({error.strerror}); give another file"
        ) from None
    say(f"wrote {html}")


def _needed(results: "Results", asked: str) -> list[str]:
    """One line for each comparison of the metric in ``METRIC=SIZE``."""
    from artv.errors import UserError, closest
    from artv_eval.metrics.planning import clips_needed

    metric, _, text = asked.partition("=")
    pairs = [pair for pair in results.comparisons if pair.metric == metric and pair.standard_error is not None]
    try:
        size = float(text)
        if not 1e-12 <= size <= 1e12:
            raise ValueError(text)
    except ValueError:
        raise UserError(f"--power is {asked!r}; it must be METRIC=SIZE, for example fvd=5") from None
    if not pairs:
        raise UserError(f"--power {asked}: no comparison of {metric}; {closest(metric, _compared(results))}")
    lines = []
    for pair in pairs:
        assert pair.standard_error is not None
        n = clips_needed(size, pair.standard_error, pair.prompts or pair.n)
        what = f"{n} clips" if pair.prompts is None else f"{n} prompts of {pair.n / pair.prompts:.3g} clips"
        lines.append(f"{metric}: finding a difference of {size:g} between {pair.a} and {pair.b} takes {what} a cell")
    return lines


def _compared(results: "Results") -> list[str]:
    return sorted({pair.metric for pair in results.comparisons if pair.standard_error is not None})
