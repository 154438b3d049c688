"""How the command line ends when something is wrong: one line and an exit code, no traceback."""

from typing import Any, get_args

from artv.errors import Interrupted, UserError, WorkFailed, closest, describe_os_error
from artv.yaml_files import Lines

__all__ = ["Interrupted", "UserError", "WorkFailed", "describe_os_error", "explain"]


def explain(error: Any, model: Any, lines: Lines | None = None) -> str:
    """What is wrong with which field, of the first mistake that pydantic found in values for ``model``.

    Of fields that are missing, all are named.

    Args:
        error: its ``ValidationError``.
        lines: where the values stand in their file; the line is then said first.
    """
    first = error.errors()[0]
    place = first["loc"]
    line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None) if lines else None
    return (f"line {line}: " if line else "") + (_missing(error) or _what_is_wrong(first, model))


def _missing(error: Any) -> str:
    """Empty where the first mistake is another."""
    mistakes = error.errors()
    fields = [_field(one) for one in mistakes if one["type"] == mistakes[0]["type"] == "missing"]
    are = "s {} are" if len(fields) > 1 else " {} is"
    return f"field{are} missing".format(", ".join(map(repr, fields))) if fields else ""


def _field(mistake: Any) -> str:
    return ".".join(str(part) for part in mistake["loc"])


def _what_is_wrong(first: Any, model: Any) -> str:
    field = _field(first)
    if first["type"] == "extra_forbidden":
        for part in first["loc"][:-1]:
            model = _inner(model, part)
        return f"unknown field {field!r}; {closest(str(first['loc'][-1]), model.model_fields)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"field {field!r} is {first['input']!r}: {message[0].lower()}{message[1:]}"


def _inner(model: Any, part: str | int) -> Any:
    """The model of a field, of a list of them too."""
    if part not in model.model_fields:
        return model
    kinds = [model.model_fields[part].annotation]
    while kinds:
        kind = kinds.pop()
        if hasattr(kind, "model_fields"):
            return kind
        kinds += get_args(kind)
    return model
