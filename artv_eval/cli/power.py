"""``artv-eval power``: how many trainings and clips tell a difference between methods, for a price in GPU minutes."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Annotated

import typer

from artv.ending import echo
from artv_eval.cli.common import check_above_zero, check_share

if TYPE_CHECKING:
    from artv_eval.metrics.planning import Chance, Option, Price
    from artv_eval.results.rows import Comparison
    from artv_eval.results.store import RunStore

SHOWN = 6
TIMED = 8  # clips of each training
MOST = 1e12  # of a difference or a spread


@dataclass(frozen=True)
class Spent:
    """What a comparison's cells took: seconds of a training (mean) and of a clip (median), None where nobody says.

    ``of``: which comparison. ``each``: clips of a prompt, which go together: prompts are what is bought.
    """

    of: str = ""
    training: float | None = None
    clip: float | None = None
    each: float = 1.0


def power(
    difference: Annotated[float, typer.Option(help="The difference worth finding, in the metric's units.")],
    run: Annotated[
        str | None, typer.Argument(help="Folder of a sweep over training seeds: its spreads and its prices.")
    ] = None,
    metric: Annotated[str, typer.Option(help="Whose comparison of the run.")] = "fvd",
    budget: Annotated[float | None, typer.Option(help="GPU minutes to spend, both sides together.")] = None,
    power: Annotated[float, typer.Option(help="Without --budget: the chance that is asked for.")] = 0.8,
    sd_trainings: Annotated[
        float | None, typer.Option(help="Standard deviation of the difference between trainings.")
    ] = None,
    se_clips: Annotated[
        float | None, typer.Option(help="Standard error of one training's difference over --clips clips.")
    ] = None,
    clips: Annotated[int, typer.Option(help="The number of clips that --se-clips belongs to.")] = 512,
    train_minutes: Annotated[float | None, typer.Option(help="GPU minutes of one training; else the run's.")] = None,
    clip_seconds: Annotated[float | None, typer.Option(help="GPU seconds of one clip; else the run's.")] = None,
    format_: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Says how many training seeds and clips find a difference between methods: within a budget, or most cheaply."""
    from artv.errors import UserError
    from artv_eval.metrics.planning import cheapest, within_budget

    check_above_zero(MOST, difference=difference)
    check_above_zero(budget=budget, train_minutes=train_minutes, clip_seconds=clip_seconds)
    check_share(power=power)
    if format_ not in ("table", "json"):
        raise UserError(f"--format is {format_!r}; it must be table or json")
    if difference == 0:
        raise UserError("--difference is 0; give the size of a difference worth finding")
    chance, spent = _chance(run, metric, sd_trainings, se_clips, clips)
    price = _price(spent, train_minutes, clip_seconds)
    if budget is not None:
        options = within_budget(difference, chance, price, budget)[:SHOWN]
    else:
        options = [option for option in [cheapest(difference, chance, price, power=power)] if option]
    if not options:
        needed = "more" if budget is None else f"more than {budget:g} minutes: two trainings a side cost "
        needed += "" if budget is None else f"{4 * price.training:g} without a clip"
        raise UserError(f"finding a difference of {difference:g} takes {needed}; ask for a larger one")
    echo(_json(options, spent) if format_ == "json" else _text(difference, chance, price, options, spent))


def _chance(
    run: str | None, metric: str, sd_trainings: float | None, se_clips: float | None, clips: int
) -> tuple["Chance", Spent]:
    """The spreads, and what the two cells that they are of took."""
    from artv.errors import UserError, closest
    from artv_eval.metrics.planning import Chance

    if run is None:
        if sd_trainings is None or se_clips is None:
            raise UserError("give a run's folder, or --sd-trainings and --se-clips")
        if not (0 <= sd_trainings <= MOST and 0 <= se_clips <= MOST and clips >= 2):
            given = f"--sd-trainings {sd_trainings:g}, --se-clips {se_clips:g}, --clips {clips}"
            raise UserError(f"{given}: the first two are 0 to {MOST:g}, the last is at least 2")
        return Chance(sd_trainings=sd_trainings, se_clips=se_clips, clips=clips), Spent()
    from artv_eval.report.html import load_run

    results, store = load_run(Path(run))
    known = [pair for pair in results.comparisons if pair.about == "method" and pair.sd_trainings is not None]
    pairs = [pair for pair in known if pair.metric == metric]
    if not pairs:
        hint = closest(metric, {pair.metric for pair in known})
        raise UserError(f"{run} has no comparison of {metric} over training seeds: sweep with --train-seeds; {hint}")
    return _chance_of(pairs[0]), _spent(store, pairs[0])


def _chance_of(pair: "Comparison") -> "Chance":
    from artv_eval.metrics.planning import Chance

    assert pair.sd_trainings is not None and pair.se_clips is not None
    assert pair.standard_error is not None and pair.seeds is not None
    return Chance.of(pair.sd_trainings, pair.se_clips, pair.standard_error, pair.seeds, pair.prompts or pair.n)


def _spent(store: "RunStore", pair: "Comparison") -> Spent:
    from artv_eval.results.documents import read_json

    manifest = store.root / "manifest.json"
    cells = read_json(manifest)["cells"] if manifest.exists() else []
    ours = [cell for cell in cells if cell["ablation"] == pair.ablation and cell["cell"] in (pair.a, pair.b)]
    trainings = [cell["training"]["seconds"] for cell in ours if "seconds" in (cell.get("training") or {})]
    return Spent(
        of=f"{pair.a} − {pair.b}",
        training=fmean(trainings) if trainings else None,
        clip=median(clips) if (clips := [s for cell in ours for s in _clips(store, cell["id"])]) else None,
        each=pair.n / (pair.prompts or pair.n),
    )


def _clips(store: "RunStore", cell: str) -> Iterator[float]:
    """Seconds of the first clips of a cell that are still there and say so."""
    from artv.errors import WorkFailed

    for index in range(TIMED):
        with suppress(OSError, WorkFailed):
            if (seconds := store.load_clip(cell, index).seconds) is not None:
                yield seconds


def _price(spent: Spent, train_minutes: float | None, clip_seconds: float | None) -> "Price":
    """The given costs, else what the run's took; a clip costs nothing where nobody says what it costs.

    Where clips of a prompt go together a ``clip`` of the price is all that a prompt has.
    """
    from artv.errors import UserError
    from artv_eval.metrics.planning import Price

    if train_minutes is None:
        if spent.training is None:
            raise UserError("give --train-minutes: there is no training here that says what it took (manifest.json)")
        train_minutes = spent.training / 60
    clip = spent.clip if clip_seconds is None else clip_seconds
    return Price(training=train_minutes, clip=(clip or 0.0) * spent.each / 60)


def _json(options: list["Option"], spent: Spent) -> str:
    """``clips`` a cell; of several a prompt the ``prompts`` too."""
    rows = [vars(option) for option in options]
    if spent.each != 1:
        rows = [{**row, "prompts": row["clips"], "clips": round(row["clips"] * spent.each)} for row in rows]
    return json.dumps(rows, indent=2)


def _text(difference: float, chance: "Chance", price: "Price", options: list["Option"], spent: Spent) -> str:
    best, of = options[0], spent.of
    clip = f"{60 * price.clip / spent.each:.3g} seconds" if price.clip else "nothing (--clip-seconds says what it does)"
    clips = "clips" if spent.each == 1 else f"prompts of {spent.each:.3g} clips"
    lines = [
        f"{of}{': ' * bool(of)}between trainings ± {chance.sd_trainings:.3g}, over {chance.clips} {clips} ± "
        f"{chance.se_clips:.3g}; a training "
        f"costs {price.training:.3g} GPU minutes, a clip {clip}",
        f"a difference of {difference:g}: {best.seeds} training seeds a side and {best.clips:,} {clips} a cell find it "
        f"in {100 * best.power:.0f} % of cases, for {best.minutes:.0f} GPU minutes",
    ]
    if chance.sd_trainings == 0:
        lines.append("± 0 is an estimate: few trainings may differ by less than clips do where more would not")
    others = [f"{o.seeds} seeds × {o.clips:,} {clips} {100 * o.power:.0f} %" for o in options[1:]]
    return "\n".join([*lines, *([f"for the same money: {'; '.join(others)}"] if others else [])])
