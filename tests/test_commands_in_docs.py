"""Every command of the README and the docs: its options exist, and it says what it needs.

That it runs, or says in a line what it lacks, is shown by ``tests/commands_run.py``.
"""

import re

import pytest

from artv_eval.cli import plugin_options
from tests.commands_run import ELSEWHERE
from tests.documented import FENCE, FENCED, NEEDS, PAGES, found, in_fences, in_prose

COMMANDS = FENCED + [command for page in PAGES for command in in_prose(page)]


@pytest.mark.parametrize(
    "command",
    [command for command in COMMANDS if command.ours],
    ids=lambda command: f"{command.page}: {command.line[:60]}",
)
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
        assert command.needs or command.ours or command.line == "pip install uv", f"{command.line}: say what it needs"


def test_it_is_known_why_commands_of_others_are_not_run():
    others = {command.line for command in FENCED if not command.ours}
    unknown = [line for line in others if not any(line.startswith(start) for start in ELSEWHERE)]
    assert not unknown, "tests/commands_run.py: say where these are run, or why they cannot be"
    assert all(any(line.startswith(start) for line in others) for start in ELSEWHERE), "one of them stands nowhere"
