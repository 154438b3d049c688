"""How the command line ends when something is wrong: one line and an exit code, no traceback."""

from typing import Any

from artv.errors import Interrupted, UserError, WorkFailed, closest, describe_os_error

__all__ = ["Interrupted", "UserError", "WorkFailed", "describe_os_error", "explain"]


def explain(error: Any, model: Any) -> str:
    """What is wrong with which field, of the first mistake that pydantic found in values for ``model``.

    Args:
        error: its ``ValidationError``.
    """
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        for part in first["loc"][:-1]:
            model = model.model_fields[part].annotation if part in model.model_fields else model
        return f"unknown field {field!r}; {closest(str(first['loc'][-1]), model.model_fields)}"
    if first["type"] == "missing":
        return f"field {field!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"field {field!r} is {first['input']!r}: {message[0].lower()}{message[1:]}"
