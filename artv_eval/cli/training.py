"""The options of ``artv-eval sweep`` about training, read."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artv_eval.sweep.plan_file import Trained


def trained(base: "Trained | None", *, train_seeds: int | None = None, train_steps: str | None = None) -> "Trained":
    """``--train-seeds`` and ``--train-steps`` over what a plan has. Raises UserError for what is no list of numbers."""
    from artv.errors import UserError
    from artv_eval.sweep.plan_file import Trained

    typed: dict[str, Any] = {} if train_seeds is None else {"seeds": train_seeds}
    if train_steps is not None:
        lengths = [word.strip().replace("_", "") for word in train_steps.split(",")] if train_steps else []
        if not all(word.isdecimal() for word in lengths):
            raise UserError(
                f"--train-steps is {train_steps!r}; it must be numbers between commas, for example 1000,2000,4000"
            )
        typed["steps"] = [int(word) for word in lengths]
    return (base or Trained()).model_copy(update=typed)
