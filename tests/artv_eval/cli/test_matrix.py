"""What people, scripts and shells hand over by mistake: one line and exit code 2 before any work, or it is accepted."""

import importlib
import shutil
import signal
import sys
from pathlib import Path

import pytest
from command_matrix import BASES, NUMBERS, TOY, WORK, flags, options, saved_reference, training, values

OPTIONS = list(options())
# numbers for which a thousand million is a number like others
LARGE = {"--seed", "--minutes", "--lr", "--difference"}
DRY = [command for command, names in flags().items() if "--dry-run" in names]
# what only looks and tells, or writes at once the one thing that it is asked for
QUICK = {
    "artv sample", "artv data shapes", "artv data latents", "artv-eval plan show", "artv-eval plan diff",
    "artv-eval reference list", "artv-eval report", "artv-eval card", "artv-eval compare", "artv-eval serve",
    "artv-eval power", "artv-eval doctor", "artv-eval protocols list", "artv-eval protocols show",
    "artv-eval plugins list", "artv-eval plugins show", "artv-eval plugins new",
}  # fmt: skip


class Reached(BaseException):
    """The command has accepted everything and begins its work."""


class Late(BaseException):
    """Ten seconds have passed."""


@pytest.fixture(scope="module")
def places(tmp_path_factory, sides):
    """A finished run, a folder of clips, and the files that are tried."""
    from artv_eval.cli import main

    root = tmp_path_factory.mktemp("matrix")
    run = ["sweep", "--plugins-dir", TOY, "--ablation", "noise", "--protocol", "toy@1", "--num-videos", 2]
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in (*run, "--metrics", "brightness", "--out", root / "run")])
    assert not end.value.code
    shutil.copytree(root / "run", root / "other")
    found = {"run": root / "run", "other": root / "other", "clips": sides[0]}
    found |= {"reference": saved_reference(root, sides[0]), "training": training(root)}
    return {name: str(path) for name, path in found.items()}, values(root)


@pytest.fixture
def attempt(monkeypatch, capsys):
    """How a command line ends: ``accepted``, an exit code, ``late`` or what would be a traceback; and its last line."""

    def late(*_):
        raise Late

    before = signal.signal(signal.SIGALRM, late)

    def call(words):
        monkeypatch.setattr(sys, "argv", words)
        capsys.readouterr()
        signal.alarm(10)
        try:
            importlib.import_module(f"{words[0].replace('-', '_')}.cli").main()
            end = 0
        except Reached:
            end = "accepted"
        except Late:
            end = "late"
        except SystemExit as error:
            end = error.code or 0
        except Exception as error:
            end = repr(error)
        finally:
            signal.alarm(0)
        return end, (capsys.readouterr().err.strip().splitlines() or [""])[-1]

    yield call
    signal.signal(signal.SIGALRM, before)


def may_be_accepted(option, kind):
    """Texts may mean something to somebody, but nothing does not; numbers are numbers, of a size that can be."""
    if kind in ("empty", "blank"):
        return False
    return option.kind not in NUMBERS or kind == "zero" or (kind == "huge" and option.name in LARGE)


def test_every_command_that_computes_has_a_dry_run():
    assert set(DRY) | QUICK == set(flags()) and not QUICK & set(DRY)


@pytest.mark.parametrize("command", DRY)
def test_a_dry_run_says_what_would_be_done_and_makes_nothing(command, places, attempt, monkeypatch, tmp_path):
    folders, _ = places
    monkeypatch.chdir(tmp_path)

    def there():
        roots = (tmp_path, *map(Path, folders.values()))
        return {path: path.is_dir() or path.stat().st_mtime_ns for root in roots for path in root.rglob("*")}

    before = there()
    end, line = attempt([*command.split(), *BASES[command].format(**folders).split(), "--dry-run"])
    assert end == 0 and there() == before, line


def test_every_command_is_here():
    assert {option.command for option in OPTIONS} <= set(BASES)


@pytest.mark.parametrize("command", BASES)
def test_whatever_an_option_is_given_is_one_line_or_accepted(command, places, attempt, monkeypatch, tmp_path):
    folders, tried = places
    monkeypatch.chdir(tmp_path)
    base = BASES[command].format(**folders).split()
    if command in WORK:

        def begin(*_, **__):
            raise Reached

        monkeypatch.setattr(WORK[command], begin)
    assert attempt([*command.split(), *base])[0] in (0, "accepted")
    wrong = []
    for option in OPTIONS:
        for kind, value in tried.items() if option.command == command else ():
            end, line = attempt([*command.split(), *option.tried(value, base)])
            told = end == 2 and line.startswith(command.split()[0]) and line.isprintable()
            if not told and not (end in (0, "accepted") and may_be_accepted(option, kind)):
                wrong.append((option.name, kind, end, line[-150:]))
    assert not wrong, "\n".join(map(str, wrong))
