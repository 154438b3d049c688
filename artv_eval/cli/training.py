"""The options of ``artv-eval sweep`` about training, read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artv_eval.sweep.trainings import TrainOptions


def train_options(seeds: int, steps: str | None, twins: str) -> "TrainOptions":
    """``--train-seeds``, ``--train-steps`` and ``--twins``. Raises UserError for what is no list of numbers."""
    from artv.errors import UserError
    from artv_eval.sweep.trainings import TrainOptions

    lengths = [word.strip().replace("_", "") for word in steps.split(",")] if steps else []
    if not all(word.isdecimal() for word in lengths):
        raise UserError(f"--train-steps is {steps!r}; it must be numbers between commas, for example 1000,2000,4000")
    return TrainOptions(seeds=seeds, steps=tuple(int(word) for word in lengths), store=Path(twins))


def training_grid(assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``--grid training.FIELD=a,b`` as settings of the ablation training-grid. Raises UserError for another form."""
    import yaml

    from artv.errors import UserError

    fields: dict[str, list[Any]] = {}
    for text in assignments:
        path, equals, values = text.partition("=")
        component, dot, field = path.strip().partition(".")
        if component != "training" or not dot or not field or not equals or not values:
            raise UserError(f"--grid is {text!r}; it must be training.FIELD=A,B, for example training.weight_cap=1,5")
        fields[field] = [yaml.safe_load(value) for value in values.split(",")]
    return {"training-grid": {"fields": fields}} if fields else {}
