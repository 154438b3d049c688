"""The options of ``artv-eval sweep`` about training, read."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from artv_eval.sweep.plan_file import Trained


def trained(seeds: int, steps: str | None) -> "Trained":
    """``--train-seeds`` and ``--train-steps``. Raises UserError for what is no list of numbers."""
    from artv.errors import UserError
    from artv_eval.sweep.plan_file import Trained

    lengths = [word.strip().replace("_", "") for word in steps.split(",")] if steps else []
    if not all(word.isdecimal() for word in lengths):
        raise UserError(f"--train-steps is {steps!r}; it must be numbers between commas, for example 1000,2000,4000")
    return Trained(seeds=seeds, steps=[int(word) for word in lengths])
