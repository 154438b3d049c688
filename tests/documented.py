"""The commands of the README and the docs, as their pages have them.

A fenced block says what its commands need beyond a clone and a CPU: ```` ```bash needs="gpu" ````, or network, weights,
data, packages; ``minutes``: they take long at the size that is written there.
"""

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import typer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "plugins" / "README.md", *sorted(ROOT.glob("docs/*.md"))]
FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```", flags=re.MULTILINE | re.DOTALL)
NEEDS = {"gpu", "network", "weights", "data", "packages", "minutes"}
PROGRAMS = {"artv": "artv.cli", "artv-eval": "artv_eval.cli"}


class Command(NamedTuple):
    """A command of a page; ``needs``: what it takes beyond a clone and a CPU."""

    page: str
    line: str
    needs: str | None

    @property
    def words(self) -> list[str]:
        """The words a shell would make of it, without what starts it in an environment."""
        words = shlex.split(self.line, comments=True)
        return words[2:] if words[:2] == ["uv", "run"] and words[2] in PROGRAMS else words

    @property
    def ours(self) -> bool:
        """Whether a program of this repository is to run."""
        return self.words[0] in PROGRAMS


def in_fences(page: Path):
    """Those of its shell blocks, part by part."""
    for _, language, info, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if language in ("bash", "sh", "console", "shell"):
            needs = re.fullmatch(r' needs="(\w+)"|', info.rstrip())
            assert needs, f"{page.name}: ```{language}{info}"
            for line in text.replace("\\\n", " ").splitlines():
                for part in re.sub(r"(^|\s)#.*", "", line).split("&&"):
                    if part.strip():
                        yield Command(str(page.relative_to(ROOT)), part.strip(), needs[1])


def in_prose(page: Path):
    """Those between backticks."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for code in re.findall(r"`((?:artv|artv-eval) [a-z][^`]*)`", text):
        yield Command(str(page.relative_to(ROOT)), code, "prose")


FENCED = [command for page in PAGES for command in in_fences(page)]


def found(words):
    """The names of the command, and what click knows of it."""
    command, path = typer.main.get_command(import_module(PROGRAMS[words[0]]).app), [words[0]]
    while hasattr(command, "commands"):
        if len(path) == len(words):
            break  # a group by its name
        name = words[len(path)]
        if name not in command.commands and hasattr(command, "default"):
            name, words = command.default, [*words[: len(path)], command.default, *words[len(path) :]]
        assert name in command.commands, f"{' '.join(path)} has no command {name!r}"
        command = command.commands[name]
        path.append(name)
    return " ".join(path), command
