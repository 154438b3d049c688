"""Every command of the README and the docs: it exists, and so do its options.

A fenced block may say why its commands are not run here: ```` ```bash needs="gpu" ````, or network, weights, data,
packages, minutes.
"""

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from artv_eval.cli import plugin_options

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "plugins" / "README.md", *sorted(ROOT.glob("docs/*.md"))]
FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```", flags=re.MULTILINE | re.DOTALL)
NEEDS = {"gpu", "network", "weights", "data", "packages", "minutes"}
PROGRAMS = {"artv": "artv.cli", "artv-eval": "artv_eval.cli"}


class Command(NamedTuple):
    """A command of a page; ``needs``: why it is not run here."""

    page: str
    line: str
    needs: str | None

    @property
    def words(self) -> list[str]:
        """The words a shell would make of it, without what starts it in an environment."""
        words = shlex.split(self.line, comments=True)
        return words[2:] if words[:2] == ["uv", "run"] else words


def in_fences(page: Path):
    for _, language, info, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if language in ("bash", "sh", "console", "shell"):
            needs = re.fullmatch(r' needs="(\w+)"|', info.rstrip())
            assert needs, f"{page.name}: ```{language}{info}"
            for line in text.replace("\\\n", " ").splitlines():
                for part in re.sub(r"\s#.*", "", line).split("&&"):
                    if part.strip():
                        yield Command(page.name, part.strip(), needs[1])


def in_prose(page: Path):
    """Those between backticks."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for code in re.findall(r"`((?:artv|artv-eval) [a-z][^`]*)`", text):
        yield Command(page.name, code, "prose")


FENCED = [command for page in PAGES for command in in_fences(page)]
COMMANDS = FENCED + [command for page in PAGES for command in in_prose(page)]
OURS = [command for command in COMMANDS if command.words and command.words[0] in PROGRAMS]


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


@pytest.mark.parametrize("command", OURS, ids=lambda command: f"{command.page}: {command.line[:60]}")
def test_command_and_options_exist(command):
    words = command.words
    if words[0] == "artv-eval":
        words = [words[0], *plugin_options(words[1:])[1]]
    if words[1:] in (["--version"], ["--help"]):
        return
    _, its = found(words)
    known = {option for parameter in its.params for option in parameter.opts}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= known | {"--help"}, f"{command.line}: {given - known}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_in_fences_that_say_what_they_need(page):
    outside = FENCE.sub("", page.read_text(encoding="utf-8"))
    loose = re.findall(r"^ {4,}(?:uv run )?(?:artv|artv-eval|pip|accelerate|torchrun) .*", outside, flags=re.MULTILINE)
    assert not loose, 'put it into a fence: ```bash or ```bash needs="gpu"'
    for command in in_fences(page):
        assert command.needs in NEEDS | {None}, command
        installs = command.words[:3] == ["pip", "install", "uv"]
        assert command.needs or installs or command.words[0] in PROGRAMS, f"{command.line}: say what it needs"
