"""``artv-eval power``: how many trainings and clips tell a difference between methods, for a price in GPU minutes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artv.ending import echo
from artv_eval.cli.common import check_above_zero, check_share

if TYPE_CHECKING:
    from artv_eval.metrics.planning import Chance, Option, Price

SHOWN = 6
MOST = 1e12  # of a difference or a spread


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
    train_minutes: Annotated[float | None, typer.Option(help="GPU minutes of one training.")] = None,
    clip_seconds: Annotated[float | None, typer.Option(help="GPU seconds of one clip.")] = None,
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
    chance, found = _chance(run, metric, sd_trainings, se_clips, clips)
    price = _price(found, train_minutes, clip_seconds)
    if budget is not None:
        options = within_budget(difference, chance, price, budget)[:SHOWN]
    else:
        options = [option for option in [cheapest(difference, chance, price, power=power)] if option]
    if not options:
        needed = "more" if budget is None else f"more than {budget:g} minutes: two trainings a side cost "
        needed += "" if budget is None else f"{4 * price.training:g} without a clip"
        raise UserError(f"finding a difference of {difference:g} takes {needed}; ask for a larger one")
    echo(_json(options) if format_ == "json" else _text(difference, chance, price, options))


def _chance(
    run: str | None, metric: str, sd_trainings: float | None, se_clips: float | None, clips: int
) -> tuple["Chance", dict[str, Any]]:
    """The spreads, and the manifest of the run that they are from."""
    from artv.errors import UserError, closest
    from artv_eval.metrics.planning import Chance

    if run is None:
        if sd_trainings is None or se_clips is None:
            raise UserError("give a run's folder, or --sd-trainings and --se-clips")
        if not (0 <= sd_trainings <= MOST and 0 <= se_clips <= MOST and clips >= 2):
            given = f"--sd-trainings {sd_trainings:g}, --se-clips {se_clips:g}, --clips {clips}"
            raise UserError(f"{given}: the first two are 0 to {MOST:g}, the last is at least 2")
        return Chance(sd_trainings=sd_trainings, se_clips=se_clips, clips=clips), {}
    from artv_eval.report.html import load_run
    from artv_eval.results.documents import read_json

    results, _ = load_run(Path(run))
    known = [pair for pair in results.comparisons if pair.about == "method" and pair.sd_trainings is not None]
    pairs = [pair for pair in known if pair.metric == metric]
    if not pairs:
        hint = closest(metric, {pair.metric for pair in known})
        raise UserError(f"{run} has no comparison of {metric} over training seeds: sweep with --train-seeds; {hint}")
    pair = pairs[0]
    assert pair.sd_trainings is not None and pair.se_clips is not None
    assert pair.standard_error is not None and pair.seeds is not None
    chance = Chance.of(pair.sd_trainings, pair.se_clips, pair.standard_error, pair.seeds, pair.n)
    manifest = Path(run) / "manifest.json"
    return chance, read_json(manifest) if manifest.exists() else {}


def _price(manifest: dict[str, Any], train_minutes: float | None, clip_seconds: float | None) -> "Price":
    """The given costs, else what the run's trainings took; a clip costs nothing where nobody says what it costs."""
    from artv.errors import UserError
    from artv_eval.metrics.planning import Price

    if train_minutes is None:
        trainings = [cell.get("training") or {} for cell in manifest.get("cells", [])]
        seconds = [training["seconds"] for training in trainings if "seconds" in training]
        if not seconds:
            raise UserError("give --train-minutes: there is no training here that says what it took (manifest.json)")
        train_minutes = sum(seconds) / len(seconds) / 60
    return Price(training=train_minutes, clip=(clip_seconds or 0.0) / 60)


def _json(options: list["Option"]) -> str:
    return json.dumps([vars(option) for option in options], indent=2)


def _text(difference: float, chance: "Chance", price: "Price", options: list["Option"]) -> str:
    best = options[0]
    clip = f"{60 * price.clip:.3g} seconds" if price.clip else "nothing (--clip-seconds says what it does)"
    lines = [
        f"between trainings ± {chance.sd_trainings:.3g}, over {chance.clips} clips ± {chance.se_clips:.3g}; a training "
        f"costs {price.training:.3g} GPU minutes, a clip {clip}",
        f"a difference of {difference:g}: {best.seeds} training seeds a side and {best.clips:,} clips a cell find it "
        f"in {100 * best.power:.0f} % of cases, for {best.minutes:.0f} GPU minutes",
    ]
    if chance.sd_trainings == 0:
        lines.append("± 0 is an estimate: few trainings may differ by less than clips do where more would not")
    others = [f"{o.seeds} seeds × {o.clips:,} clips {100 * o.power:.0f} %" for o in options[1:]]
    return "\n".join([*lines, *([f"for the same money: {'; '.join(others)}"] if others else [])])
