"""A program that is kept running, by real ones of a line or two: what it answers, and every way to be of no use."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from artv_eval.methods import program as program_module
from artv_eval.methods.program import Program, ProgramFault


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.setattr(program_module, "PATIENCE", 0.3)
    started = []

    def start(script):
        started.append(Program(["/bin/sh", "-c", script], tmp_path, {**os.environ, "GIVEN": "from the environment"}))
        return started[-1]

    yield start
    for program in started:
        program.end()


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    with suppress(OSError):
        return stat.read_text().split()[2] != "Z"
    return False


def test_it_works_in_its_folder_and_environment_and_answers_in_order(start, tmp_path):
    program = start(
        """while read line; do printf '{"got": %s, "at": "%s", "env": "%s"}\\n' "$line" "$PWD" "$GIVEN"; done"""
    )
    program.ask([{"index": 0}, {"index": 1, "prompt": "a"}])
    first, second = program.answer(20), program.answer(20)
    assert first == {"got": {"index": 0}, "at": str(tmp_path), "env": "from the environment"}
    assert second["got"] == {"index": 1, "prompt": "a"}


def test_asking_never_waits_for_a_program_that_does_not_read(start):
    program = start("sleep 100")
    begun = time.monotonic()
    program.ask({"index": i, "text": "x" * 1000} for i in range(500))  # more than a pipe holds
    assert time.monotonic() - begun < 5
    with pytest.raises(ProgramFault, match=r"gave no answer within 0\.2 s; its stderr is empty"):
        program.answer(0.2)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo hello", "wrote 'hello' to its stdout, where an object of JSON a line is due"),
        ("echo '[1]'", r"wrote '\[1\]' to its stdout"),
        ("exit 3", "ended with exit code 3; its stderr is empty"),
        ("echo one >&2; echo two >&2; exit 1", "ended with exit code 1; its stderr ends: one | two"),
        ("kill -9 $$", "was ended by SIGKILL"),
        ("exec 1>&-; sleep 100", "closed its stdout"),
        ("for i in 1 2 3 4 5 6; do echo $i >&2; done; exit 1", r"its stderr ends: 3 \| 4 \| 5 \| 6"),
    ],
)
def test_a_fault_is_one_line_with_how_its_stderr_ends(start, script, message):
    program = start(script)
    with pytest.raises(ProgramFault, match=message.replace("one | two", r"one \| two")) as caught:
        program.answer(20)
    assert "\n" not in str(caught.value)


def test_time_counts_from_when_it_was_said_to_begin(start):
    program = start("sleep 100")
    begun = time.monotonic()
    with pytest.raises(ProgramFault, match="within 60 s"):
        program.answer(60, since=begun - 60)
    assert time.monotonic() - begun < 5


def test_an_answer_that_was_written_before_the_end_is_still_given(start):
    program = start("""echo '{"index": 0}'; exit 1""")
    time.sleep(0.3)
    assert program.answer(20) == {"index": 0}
    with pytest.raises(ProgramFault, match="ended with exit code 1"):
        program.answer(20)


@pytest.mark.parametrize("started", ["sleep 100", "setsid sleep 100"])  # in its group, and as torchrun starts workers
def test_its_children_end_with_it(start, tmp_path, started):
    program = start(f"{started} & echo $! > child; read line; exit 0")
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text().strip():
        time.sleep(0.01)
    child = int((tmp_path / "child").read_text())
    assert alive(child)
    program.end()
    deadline = time.monotonic() + 5
    while alive(child):
        assert time.monotonic() < deadline, "a child outlives its program"
        time.sleep(0.01)


def test_it_ends_when_nobody_holds_it_and_may_end_by_itself_first(start, tmp_path):
    program = Program(["/bin/sh", "-c", "cat > /dev/null; touch tidied"], tmp_path, dict(os.environ))
    pid = program._process.pid
    del program
    deadline = time.monotonic() + 5
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (tmp_path / "tidied").exists(), "its stdin ended, so it could tidy up"


def test_a_program_that_ignores_its_end_is_killed(start):
    program = start("trap '' TERM INT HUP; while :; do sleep 1; done")
    begun = time.monotonic()
    program.end()
    assert program._process.returncode == -signal.SIGKILL and time.monotonic() - begun < 5


def test_where_this_process_is_killed_it_sees_the_end_of_its_stdin(tmp_path):
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom artv_eval.methods.program import Program\n"
        "script = 'echo $$ > pid; cat > /dev/null; touch tidied'\n"
        "p = Program(['/bin/sh', '-c', script], Path(sys.argv[1]), dict(os.environ))\n"
        "while not Path(sys.argv[1], 'pid').exists(): time.sleep(0.01)\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while not (tmp_path / "tidied").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_to_start_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        Program(["/no/such/program"], tmp_path, {})
