"""How commands end: Ctrl-C at any instant, damage that looks like an end, files that stand for more than they are."""

import ast
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from artv.ending import echo, one_line, raise_if_asked
from artv.errors import UserError
from artv.yaml_files import read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(12)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "stands for more than 50000 values"),
        ("a: &a [*a]", "what begins in line 1 holds itself"),
        ("[" * 100_000, "nested more than 30 deep"),
        ("a: " + "x" * 300_000, "may have 262144"),
        ("a: 1\na: 2", "'a' is given twice"),
        ("a: \xff".encode("latin-1"), "no YAML"),
        ("[]", "holds a list"),
    ],
    ids=["aliases", "itself", "deep", "long", "twice", "bytes", "list"],
)
def test_yaml_that_stands_for_too_much_is_told_at_once(tmp_path, text, words):
    (tmp_path / "file").write_bytes(text.encode() if isinstance(text, str) else text)
    started = time.monotonic()
    with pytest.raises(UserError, match="settings file") as caught:
        read_yaml(tmp_path / "file", "settings file")
    assert words in str(caught.value) and time.monotonic() - started < 5


def test_yaml_from_what_never_ends(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            read_yaml(name, "settings file")


def ending(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        ("EOFError()", 1, "damaged"),
        ("MemoryError()", 1, "out of memory"),
        ("OSError(28, 'No space left', 'x')", 1, "disk full: x"),
        ("KeyboardInterrupt()", 130, "interrupted"),
    ],
)
def test_what_a_command_raises_is_one_line(raised, code, words):
    script = (
        "import typer; from artv.ending import one_line; from artv.cli.application import run; app = typer.Typer()\n"
    )
    script += f"@app.command()\ndef f(): raise {raised}\nwith one_line('artv'): run(app, [], name='artv')"
    done = ending(script)
    assert done.returncode == code and words in done.stderr and done.stderr.strip().count("\n") == 0, done.stderr


def test_ctrl_c_that_a_library_swallows_is_raised_again_at_the_next_progress():
    script = "import os, signal; from artv.ending import one_line; from artv.progress import progress_bar\n"
    script += "class Callback:\n    def __del__(self): os.kill(os.getpid(), signal.SIGINT); sum(range(10**6))\n"
    script += "with one_line('artv'), progress_bar('x', total=3) as bar:\n"
    script += "    c = Callback(); del c\n    bar.update(1)\n    print('went on')"
    done = ending(script)
    assert done.returncode == 130 and "went on" not in done.stdout and "interrupted" in done.stderr


@pytest.mark.parametrize("seconds", [0.3, 0.6, 1.0, 1.5])
def test_ctrl_c_while_everything_is_imported(seconds, tmp_path):
    command = [sys.executable, "-m", "artv_eval", "sweep", "--ablation", "mask", "--protocol", "shapes@1"]
    command += ["--num-videos", "2", "--out", "run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    last = err.strip().splitlines()[-1]
    assert (
        process.returncode in (130, -signal.SIGINT)
        and last.startswith("artv-eval: interrupted")
        and "Traceback" not in err
    ), err


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_printed_moves_no_cursor_and_sets_no_title(terminal):
    """Colours are a terminal's; all else that it would obey is written out."""
    out = io.StringIO()
    out.isatty = lambda: terminal
    echo("a\x1b]0;owned\x07b\x1b[31mc\x1b[2Jd\x9be\u202e\r\tf\n", file=out, nl=False)
    red = "\x1b[31m" if terminal else "\\x1b[31m"
    assert out.getvalue() == f"a\\x1b]0;owned\\x07b{red}c\\x1b[2Jd\\x9be\\u202e\\r\tf\n"


@pytest.mark.parametrize("package", ["artv", "artv_eval"])
def test_results_are_printed_by_one_function(package):
    """stdout is for results; every other line goes to stderr."""
    root = Path(__file__).parents[2]
    found = []
    for path in (root / package).rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(call) if isinstance(call, ast.Call) else ""
            if text.startswith(("typer.echo(", "print(")) and "err=True" not in text and "file=" not in text:
                found.append(f"{path.relative_to(root)}:{call.lineno}")
    assert not [place for place in found if not place.startswith(("artv_eval/template", "artv_eval/feature_training"))]


def test_what_one_command_was_asked_the_next_of_its_process_is_not():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit), one_line("artv"):
            signal.raise_signal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a shell's background: Ctrl-C is not for the next one
        with one_line("artv"):
            raise_if_asked()
    finally:
        signal.signal(signal.SIGINT, before)
