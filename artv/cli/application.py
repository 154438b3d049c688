"""Runs a command line of ours: what is wrong with its options is told in one line, and Ctrl-C is not swallowed."""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Annotated, Any, NoReturn

import typer

from artv.ending import echo, printable

CLICK_EXCEPTION: Any = typer.BadParameter.mro()[2]
"""click's base of all mistakes in options, which lives elsewhere in some versions of typer."""


def lenient_output() -> None:
    """Lets what the encodings of stdout and stderr cannot hold be replaced there: a result is not lost to a letter."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not in a test, a notebook …
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")


def version(asked: bool) -> None:
    """The option ``--version``: prints it and ends."""
    if asked:
        from artv import __version__

        echo(__version__)
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")]


def run(app: typer.Typer, arguments: Sequence[str] | None = None, *, name: str, **extra: Any) -> NoReturn:
    """Calls the command and exits; a mistake in its options takes one line and exit code 2.

    Args:
        arguments: of the command; None takes the process's.
        name: of the program, as the user knows it.
        extra: for click, such as ``obj``.

    Raises:
        KeyboardInterrupt: Ctrl-C, of which typer leaves an exit code and no word.
    """
    try:
        code = _command(app)(arguments, prog_name=name, standalone_mode=False, **extra)
    except CLICK_EXCEPTION as error:
        print(_in_one_line(error, name), file=sys.stderr)
        sys.exit(error.exit_code)
    except typer.Abort as error:
        if isinstance(error.__cause__, EOFError):  # of a damaged file: nobody asked for an end
            raise error.__cause__ from None
        raise KeyboardInterrupt from None
    if code == 130:
        raise KeyboardInterrupt
    sys.exit(code)


@cache  # a process that calls commands many times would spend its time on this
def _command(app: typer.Typer) -> Any:
    command = typer.main.get_command(app)
    for parameter in _parameters(command):
        parameter.process_value = partial(_not_blank, parameter, parameter.process_value)
    return command


def _parameters(command: Any) -> Iterator[Any]:
    yield from command.params
    for inner in getattr(command, "commands", {}).values():
        yield from _parameters(inner)


def _not_blank(parameter: Any, then: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    """Refuses an option or argument of nothing but white space: something that a script meant to fill in."""
    for text in value if isinstance(value, tuple | list) else (value,):
        if isinstance(text, str) and not text.strip() and not context.resilient_parsing:  # which completes
            what = f"is {text!r}; give what it is for, or leave it out"
            raise typer.BadParameter(what, ctx=context, param=parameter)
    return then(context, value)


def _in_one_line(error: Any, name: str) -> str:
    if type(error).__name__ == "NoArgsIsHelpError":  # the help of a group that was called alone
        return error.format_message()
    command = error.ctx.command_path if getattr(error, "ctx", None) else name
    message = " ".join(error.format_message().split()).rstrip(".?")
    return printable(f"{command}: {message[:1].lower()}{message[1:]}; see {command} --help")
