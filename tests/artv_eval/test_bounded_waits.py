"""Whatever waits has a limit: every call that can wait for ever is here with what ends it."""

import ast
import json
import multiprocessing
import re
import time
from pathlib import Path

import pytest

from tests.warm import run

ROOT = Path(__file__).parents[2]
NAMES = {"join", "wait", "get", "recv", "result", "communicate", "acquire", "urlopen", "run", "check_output"}
BOUNDED = {
    "artv/networks/openvino/model.py": "_Request.wait, _Rows.__call__: an evaluation of the network, in this process",
    "artv/training/saving.py": "Saver.finish, Saver.tell: the writing of a checkpoint, in a thread of this process",
    "artv/training/loop.py": "optimise: the process group's own limit (processes.py)",
    "artv/training/inputs.py": "claim_inputs: the process group's own limit (processes.py)",
    "artv/training/run.py": "_claim, make_latents: the process group's own limit (processes.py)",
    "artv_eval/efficiency/streaming.py": "timed.watched_call: kernels of this process",
    "artv_eval/efficiency/power.py": "PowerMeter.__exit__: a thread that wakes four times a second",
    "artv_eval/sweep/trainings.py": "_progress: a thread that wakes every second",
    "artv_eval/twins/artv.py": "_ended: a training, which takes what it takes; a stopped one is given two minutes",
    "artv_eval/executors/ahead.py": "ahead: a thread of this process, whose end or error is told",
    "artv_eval/executors/gpus.py": "GpuExecutor._run: a future that is done",
    "artv_eval/executors/ray.py": "_Pool._had_begun, _Pool._take: a result that is there; a lost worker is an error",
    "artv_eval/files/decoding.py": "Decoders._decode, Decoders._end, Decoders.decode: a watch each, then killed",
    "artv_eval/files/describe.py": "_Describer.run: decoders with a watch each, or descriptions in this process",
}
"""File → functions that wait without a limit in the call, and what ends the wait instead."""


def unbounded(tree):
    """Functions, with the class before the dot, with calls that wait and have no limit of their own."""
    inside = {}
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)):
        name = f"{inside[node]}.{node.name}" if node in inside else node.name
        inside.update(dict.fromkeys(ast.walk(node), name))  # inner ones come later
        inside[node] = name
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        of, _, name = ast.unparse(call.func).rpartition(".")
        limited = "timeout" in {keyword.arg for keyword in call.keywords}
        ours = (
            (name in ("run", "check_output") and of != "subprocess")
            or (name == "get" and call.args and not of.endswith("ray"))
            or (name in ("join", "wait", "result", "acquire", "communicate") and call.args)
        )
        locks = name in ("flock", "lockf") and "LOCK_NB" not in ast.unparse(call)
        if locks or (name in NAMES and not limited and not ours):
            yield inside[call]


@pytest.mark.parametrize("package", ["artv", "artv_eval"])
def test_every_wait_has_a_limit(package):
    files = [path for path in (ROOT / package).rglob("*.py") if "template" not in path.parts]
    waits = {
        str(path.relative_to(ROOT)): ", ".join(sorted(found))
        for path in files
        if (found := set(unbounded(ast.parse(path.read_text(encoding="utf-8")))))
    }
    known = {file: said.partition(":")[0] for file, said in BOUNDED.items() if file.startswith(f"{package}/")}
    assert waits == known


def held(folder, seconds):
    from artv_eval.twins.store import TwinStore

    with TwinStore(folder).locked("twin"):
        (folder / "held").touch()
        time.sleep(seconds)


def test_a_twin_that_another_process_trains_is_waited_for_with_a_line_and_a_limit(tmp_path, capsys, monkeypatch):
    from artv.errors import WorkFailed
    from artv_eval.twins import store

    other = multiprocessing.get_context("spawn").Process(target=held, args=(tmp_path, 60))
    other.start()
    try:
        until = time.monotonic() + 30
        while not (tmp_path / "held").exists() and time.monotonic() < until:
            time.sleep(0.05)
        monkeypatch.setattr(store, "PATIENCE", 1.0)
        with pytest.raises(WorkFailed, match="another process has trained"), store.TwinStore(tmp_path).locked("twin"):
            pytest.fail("two processes train one twin")
        assert capsys.readouterr().err.count("waiting for it") == 1
    finally:
        other.kill()
        other.join(10)
    with store.TwinStore(tmp_path).locked("twin"):  # it ends with its process
        pass


TOLD = "is a pipe or|it is no file|does not exist|50000 values|within 1 s|no Ray cluster|package ray, which is not"


def test_whatever_never_ends_is_told_within_the_limit_of_a_process(tmp_path):
    """Pipes, devices, a program and an address in silence, really waited for: see ``waits.py``."""
    done = run(Path(__file__).with_name("waits.py"), cwd=tmp_path)
    assert done.returncode == 0, (done.stdout, done.stderr)  # -14: the system ended it, for it waited
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(ends) == 11
    for command, code, seconds, line in ends:
        told = re.search(
            "is a pipe or|it is no file|does not exist|50000 values|within 1 s|no Ray cluster|package ray", line
        )
        assert told and line.isprintable(), (command, line)
        assert code == (1 if "fake" in command or "silent" in command else 2) and seconds < 30, (command, code, seconds)
