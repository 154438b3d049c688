"""A training's folder as results: a cell for each step that was validated, or scored by ``artv-eval watch``.

Its rows have ``train_steps``, so tables, the page, figures and formats show it as they show cells that were trained for
several lengths, and several trainings beside each other.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv.files import read_object, read_text
from artv.training.config import TrainConfig
from artv_eval.results.documents import Manifest, read_json
from artv_eval.results.rows import Results, Row
from artv_eval.results.training_log import logged_counts, logged_losses

SCORES = ("metric", "value", "ci_low", "ci_high", "n", "status", "higher_is_better", "protocol")


def is_training(run: Path) -> bool:
    """Whether ``artv train`` wrote to a folder, and no sweep did."""
    return (run / "model" / "log.jsonl").is_file() and not (run / "manifest.json").exists()


def manifest_of(run: Path) -> dict[str, Any]:
    """What a sweep says of itself in its folder; a training has no such file."""
    return {} if is_training(run) else read_json(run / "manifest.json", Manifest)


def training_results(run: Path) -> Results:
    """Validation losses, the last training loss, and scores; of a training under way those that there are."""
    config = read_object(run / "config.json")
    rows = [*_losses(run, config), *_scores(run)]
    return Results(
        run=str(run), rows=sorted(rows, key=lambda row: row.train_steps or 0), notes=list(_notes(run, config))
    )


def _losses(run: Path, config: dict[str, Any]) -> Iterator[Row]:
    counts = logged_counts(run / "model" / "log.jsonl")
    trained = counts.get("samples") or config["model"]["global_batch"] or config["model"]["batch_size"]
    asked_for = config.get("validation_clips", TrainConfig.model_fields["validation_clips"].default)
    watched = counts.get("clips", asked_for)
    for name, points in logged_losses(run / "model" / "log.jsonl").items():
        training = name == "loss"
        # of the training loss, which has a curve of its own, the last one
        for step, value in points[-1:] if training else dict(points).items():
            yield _row(
                run, step, metric="training loss" if training else name, value=value, higher_is_better=False,
                n=trained if training else watched, protocol="the training's own clips" if training else "validation",
            )  # fmt: skip


def _scores(run: Path) -> Iterator[Row]:
    file = run / "watch" / "curves.jsonl"
    for line in read_text(file, errors="replace").splitlines() if file.is_file() else ():
        with suppress(ValueError, TypeError, KeyError):  # a kill cut it off
            point = json.loads(line)
            yield _row(run, int(point["step"]), **{name: point[name] for name in SCORES})


def _row(run: Path, step: int, **rest: Any) -> Row:
    values = {"ci_low": None, "ci_high": None, **rest}
    cell = f"{run.resolve().name} @{step}"
    return Row(ablation="training", cell=cell, method="artv", train_steps=step, **values)


def _notes(run: Path, config: dict[str, Any]) -> Iterator[str]:
    steps = config["model"]["steps"]
    done = read_object(run / "outcome.json")["steps"] if (run / "outcome.json").is_file() else None
    state = "finished" if done == steps else "not finished"
    yield f"{run}: {state}, {steps} steps asked for; clips in {run / 'samples'}"
    for file in (run / "best" / "best.json", run / "watch" / "best" / "best.json"):
        with suppress(UserError, KeyError, TypeError, ValueError):
            best = read_object(file)
            yield f"best by {best['metric']}: step {best['step']}, {best['value']:.4g}, kept in {file.parent}"
