"""Whatever waits has a limit: every call that can wait for ever is here with what ends it."""

import ast
import multiprocessing
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = {"join", "wait", "get", "recv", "result", "communicate", "acquire", "urlopen", "run", "check_output"}
BOUNDED = {
    "artv/networks/openvino/model.py": "an evaluation of the network, in this process",
    "artv/training/saving.py": "the writing of a checkpoint, in a thread of this process",
    "artv/training/loop.py": "the process group's own limit (processes.py)",
    "artv/training/run.py": "the process group's own limit (processes.py)",
    "artv_eval/efficiency/streaming.py": "kernels of this process",
    "artv_eval/efficiency/power.py": "a thread that wakes four times a second",
    "artv_eval/sweep/trainings.py": "a thread that wakes every second",
    "artv_eval/executors/gpus.py": "a future that is done",
    "artv_eval/executors/ray.py": "a result that is there; a lost worker is an error",
    "artv_eval/files/decoding.py": "decoders with a watch each, killed when it has run out",
    "artv_eval/files/describe.py": "decoders with a watch each, or descriptions in this process",
}


def unbounded(tree):
    """Lines of calls that wait and have no limit of their own."""
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
            yield call.lineno


@pytest.mark.parametrize("package", ["artv", "artv_eval"])
def test_every_wait_has_a_limit(package):
    waits = {
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*.py")
        if "template" not in path.parts and any(unbounded(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert waits == {place for place in BOUNDED if place.startswith(f"{package}/")}


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
