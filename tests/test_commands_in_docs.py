"""Every command of the README and the docs: its options exist and, where asked (ARTV_RUN_DOCS=1), it runs, made small.

A fenced block may say why its commands are not run here: ```` ```bash needs="gpu" ````, or network, weights, data,
packages, minutes.
"""

import os
import re
import shlex
import shutil
import sys
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

# What makes a command small; of an option that is given twice the last one counts.
SMALLER = {
    "artv data shapes": "--num 4 --frames 4",
    "artv train": "--steps 1 --batch-size 2 --clips 2 --config small.yaml",
    "artv-eval efficiency": "--frames 2",
    "artv sample": "--frames 3 --steps 1",
    "artv-eval sweep": "--num-videos 2",
    "artv-eval plan": "--no-probe --num-videos 2",
    "artv-eval verify": "--sample 1",
    "artv-eval serve": "--port 0",
}  # fmt: skip
SET_STEPS = ["--set", "artv.steps=2"]
FIRST = "artv-eval sweep --ablation mask --num-videos 2 --steps 1 --frames 2 --metrics flicker"
PROGRAM = ROOT / "plugins" / "artv-example" / "programs"

CARD = """{name: mine@1, title: mine, source: here, prompts: {dataset: file, split: all, text: caption, number: 2},
frames: {number: 4, fps: 8, height: 64, width: 64}, first_frame: false, reference: {dataset: none, split: all},
features: {extractor: shapes}, clip: {extractor: shapes-clip}, metrics: [flicker]}"""


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


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all that the pages' commands take for granted."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("docs")
    (folder / "mine.yaml").write_text("artv: {ref_noise: uniform}", encoding="utf-8")
    small = "{autoencoder: {batch_size: 2}, text_encoder: {batch_size: 2}}"
    (folder / "small.yaml").write_text(small, encoding="utf-8")
    (folder / "STUDY.yaml").write_text("ablations: [mask]", encoding="utf-8")
    (folder / "CARD.yaml").write_text(CARD, encoding="utf-8")
    for name in ("prompts.txt", "FILE.txt"):
        (folder / name).write_text("a red circle moves left\na blue star spins\n", encoding="utf-8")
    shutil.copy(PROGRAM / "shake.py", folder)
    described = (PROGRAM / "shake.yaml").read_text(encoding="utf-8").replace("python,", f"{sys.executable},")
    for name in ("theirs.yaml", "FILE.yaml"):
        (folder / name).write_text(described, encoding="utf-8")
    (folder / "my-plugins").mkdir()
    guide = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
    _, _, section = guide.partition("## An ablation of what is learnt")
    (example,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    (folder / "my-plugins" / "text_dropout.py").write_text(example, encoding="utf-8")
    Image.new("RGB", (64, 64), "blue").save(folder / "first.png")
    return folder


def run(words):
    """Exit code of a command in this process."""
    try:
        sys.argv = words
        import_module(PROGRAMS[words[0]]).main()
    except SystemExit as end:
        return end.code or 0
    return 0


def small(command: Command) -> list[str]:
    """The words of a command that takes as little time as it can."""
    words = command.words
    name, _ = found([words[0], *(plugin_options(words[1:])[1] if words[0] == "artv-eval" else words[1:])])
    words += SMALLER.get(name, "").split()
    if name == "artv-eval sweep":
        words += [] if "--grid" in words else SET_STEPS if "artv.steps" in command.line else ["--steps", "2"]
        # what needs reference clips needs 16 frames, for of those the package has the rows
        whole = "--metrics" in words or ("--out" in words and "--protocol" not in words)
        words += [] if whole else ["--metrics", "flicker", "--frames", "2"]
    return words


@pytest.mark.skipif("ARTV_RUN_DOCS" not in os.environ, reason="ARTV_RUN_DOCS=1 runs every command: 45 s of a core")
def test_every_command_runs(place, monkeypatch, capfd):
    """In the order of the pages, in one folder: what one command leaves the next ones find."""
    monkeypatch.chdir(place)
    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", lambda self: None)  # it would never end
    monkeypatch.setattr(sys, "argv", [])
    assert not run([*FIRST.split(), "--out", "RUN"])
    shutil.copytree("RUN", "RUN2")  # what the pages call any run folder
    done, failed = set(), {}
    for command in FENCED:
        if command.needs or command.words[0] not in PROGRAMS or command.line in done:
            continue
        done.add(command.line)
        words, _, target = " ".join(map(shlex.quote, small(command))).partition(" '>' ")
        capfd.readouterr()
        code = run(shlex.split(words))
        said = capfd.readouterr()
        if target:
            (place / target).write_text(said.out, encoding="utf-8")
        if code:
            failed[f"{command.page}: {words}"] = said.err[-400:]
    assert not failed, "\n".join(f"{line}\n  {said}" for line, said in failed.items())
