"""Completion of a half-typed line that has the options about plugins, which typer knows nothing of."""

import shlex
from collections.abc import Callable, MutableMapping, Sequence
from typing import TypeVar

T = TypeVar("T")
LINE = "_TYPER_COMPLETE_ARGS"  # zsh, fish: the line up to the cursor
WORDS, CURRENT = "COMP_WORDS", "COMP_CWORD"  # bash: all words, and which one the cursor is in


def take_options(environ: MutableMapping[str, str], split: Callable[[Sequence[str]], tuple[T, list[str]]]) -> T:
    """The options that ``split`` finds before the cursor; they are taken out of what the shell handed over."""
    line = environ.get(LINE, environ.get(WORDS, ""))
    try:
        program, *words = shlex.split(line)
    except ValueError:  # an open quote, or nothing
        return split([])[0]
    ended = line.endswith(" ") if LINE in environ else int(environ[CURRENT]) > len(words)
    before = words if ended else words[:-1] if LINE in environ else words[: int(environ[CURRENT]) - 1]
    current = "" if ended else words[len(before)]
    if before and before[-1] in ("-p", "--plugins-dir"):  # it is their value that is being typed
        before = before[:-1]
    options, rest = split(before)
    if LINE in environ:
        environ[LINE] = f"{shlex.join([program, *rest])} {current}"
    else:
        environ[WORDS], environ[CURRENT] = shlex.join([program, *rest, current]), str(len(rest) + 1)
    return options
