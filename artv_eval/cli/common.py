"""What several commands share: the reporters, quiet stdout, shell completion of component names."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artv.ending import printable
from artv_eval.plugins.manager import PluginManager

if TYPE_CHECKING:
    from artv_eval.results.rows import Results  # --help has half a second

MOST_FPS, MOST_SECONDS = 1_000.0, 1e7
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check all of it, show what would be done, and stop.")]


def complete(kind: str) -> Callable[[typer.Context, str], list[str]]:
    """Completes the names of a kind's components, and the last one of several between commas."""

    def names(context: typer.Context, incomplete: str) -> list[str]:
        before, comma, begun = incomplete.rpartition(",")
        known = PluginManager(context.obj).names(kind)
        return [before + comma + name for name in known if name.startswith(begun)]

    return names


Format = Annotated[
    str, typer.Option("--format", help="table, long, json, csv, markdown, latex.", autocompletion=complete("reporters"))
]
"""The option of every command that shows results."""


def words(text: str | None) -> tuple[str, ...] | None:
    """Comma-separated words; None if nothing was given."""
    return None if text is None else tuple(word.strip() for word in text.split(",") if word.strip())


def plugins_and_reporter(context: typer.Context, name: str) -> "tuple[PluginManager, Callable[[Results], str]]":
    """The plugins, and of them the ``reporters`` component that ``--format`` names, found before any work is done."""
    from artv_eval.plugins.recipe import build, recipe

    manager = PluginManager(context.obj)
    return manager, build(manager, recipe(manager, "reporters", name))


def video_reader(manager: PluginManager, name: str) -> str:
    """The ``readers`` component that ``--reader`` names, as decoding processes find it; of a plugin, its target.

    Raises:
        UserError: there is no such reader, or it cannot be imported by its name, as one of ``--plugins-dir`` cannot.
    """
    from artv.data.readers import READERS

    entry = manager.find("readers", name)
    manager.target(entry)
    return name if name in READERS else entry.component.target


def check_least(least: int, most: int | None = None, **options: int | None) -> None:
    """Raises UserError for the first of the options that is below ``least`` or above ``most``; None was not given."""
    from artv.requests import MOST, check_count

    for name, value in options.items():
        check_count(f"--{name.replace('_', '-')}", value, least, MOST if most is None else most)


EACH = "each"
"""In the place of a number of frames: all that each file has."""


def frames_given(text: str | None) -> int | str | None:
    """A number, or ``each``; None if nothing was given. Raises UserError for anything else."""
    from artv.errors import UserError
    from artv.requests import MOST_FRAMES

    if text in (None, EACH):
        return text
    try:
        number = int(text)
    except ValueError:
        raise UserError(f"--frames is {text!r}; it must be a number, or {EACH}: all that each file has") from None
    check_least(1, MOST_FRAMES, frames=number)
    return number


def check_above_zero(most: float = MOST_SECONDS, **options: float | None) -> None:
    """Raises UserError for the first of the options that is not above 0 and at most ``most``; None was not given."""
    from artv.errors import UserError

    for name, value in options.items():
        if value is not None and not 0 < value <= most:
            option = name.replace("_", "-")
            raise UserError(f"--{option} is {value:g}; it must be a number above 0, at most {most:g}")


def check_share(**options: float | None) -> None:
    """Raises UserError for the first of the options that is no share from 0 to below 1; None was not given."""
    from artv.errors import UserError

    for name, value in options.items():
        if value is not None and not 0 <= value < 1:
            option = name.replace("_", "-")
            raise UserError(f"--{option} is {value}; it must be a share from 0 to below 1, for example 0.05")


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """What libraries print goes to stderr: stdout is for the result alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def say(text: str) -> None:
    """A line for the user, on stderr."""
    typer.echo(printable(text), err=True)


def read_settings(path: str | None, assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """component → field → value, from a YAML file and ``--set``, which wins.

    Raises:
        UserError: the file is missing, is no YAML, or has another form; a ``--set`` has another form.
    """
    from artv.errors import UserError
    from artv.yaml_files import read_yaml
    from artv_eval.plugins.recipe import parse_assignments

    settings: dict[str, dict[str, Any]] = {}
    if path is not None:
        loaded = read_yaml(path, "settings file")
        if not all(isinstance(fields, Mapping) for fields in loaded.values()):
            raise UserError(f"settings file {path} must hold component: {{field: value}} and nothing else")
        settings = {str(component): dict(fields) for component, fields in loaded.items()}
    for component, fields in parse_assignments(assignments).items():
        settings.setdefault(component, {}).update(fields)
    return settings
