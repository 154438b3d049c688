"""Files that are whole or not there, whoever is killed and however many write."""

import ast
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from artv import files

WRITER = """
import sys, time
from pathlib import Path
from artv import files
with files.writing(Path(sys.argv[1])) as part:
    part.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


def start(script, *arguments):
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline()
    return process


def old(folder):
    """Makes what is there look a minute old."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 60,) * 2)


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path):
    (tmp_path / "there").write_text("before")
    dead, living = start(WRITER, str(tmp_path / "a")), start(WRITER, str(tmp_path / "there"))
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    old(tmp_path)
    assert len(list(tmp_path.glob(".artv-*.part"))) == 2
    files.remove_leftovers(tmp_path)
    assert len(list(tmp_path.glob(".artv-*.part"))) == 1 and (tmp_path / "there").read_text() == "before"
    living.kill()
    living.wait()
    old(tmp_path)
    files.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_claim_is_one_process_s_and_ends_with_it(tmp_path):
    script = "import sys, time; from pathlib import Path; from artv.files import claim\n"
    script += "with claim(Path(sys.argv[1]), [0, 3, 4]) as ours: print(ours, flush=True); time.sleep(60)"
    first = start(script, str(tmp_path / "claims"))
    with files.claim(tmp_path / "claims", range(6)) as ours:
        assert ours == [1, 2, 5]
    first.kill()
    first.wait()
    with files.claim(tmp_path / "claims", range(6)) as ours:
        assert ours == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_says_who_may_read(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        files.write_atomically(tmp_path / "file", b"text")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_name_as_long_as_the_file_system_allows(tmp_path):
    path = tmp_path / ("x" * 255)
    files.write_atomically(path, b"text")
    assert files.read_bytes(path) == b"text"


def test_reading_waits_for_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless", "."):
        with pytest.raises(OSError):
            files.read_bytes(tmp_path / name)


def calls(tree):
    """Each call with the function's name and what it is called of."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        of, _, name = ast.unparse(call.func).rpartition(".")
        yield call, of, name


def waits(tree):
    """Reads of a file by name that would wait for the other end of a FIFO: (line, call)."""
    for call, of, name in calls(tree):
        reads = of and (name in ("read_text", "read_bytes") or (name == "open" and "'rb'" in ast.unparse(call)))
        loads = name in ("load_file", "safe_open") or (of in ("torch", "torch.jit", "np") and name == "load")
        if reads or (loads and not ast.unparse(call.args[0]).startswith(("regular(", "io.BytesIO("))):
            yield call.lineno, name


def writes(tree):
    """Writes of a file in its place, where a reader, or who comes after a full disk, finds a part: (line, call)."""
    for call, of, name in calls(tree):
        modes = {part.value for part in call.args if isinstance(part, ast.Constant)} & {"w", "wb", "x", "xb"}
        beside = of in ("part", "av") or of.startswith("(fresh / ")  # what writing() and replacing() give
        if of and not beside and (name in ("write_text", "write_bytes") or (name == "open" and modes)):
            yield call.lineno, name


ELSEWHERE = "artv/files.py", "artv_eval/report/html.py", "artv_eval/testing/", "artv_eval/template/"
PLACES = ("artv_eval/twins/store.py", "artv_eval/results/clips.py", "artv_eval/plugins/scaffold.py",
          "artv_eval/report/trackers.py")  # fmt: skip
"""A lock, members of an archive in a file of its own, a folder that is new, one for the time being."""


@pytest.mark.parametrize("package", ["artv", "artv_eval"])
@pytest.mark.parametrize(("kind", "allowed"), [(waits, ELSEWHERE), (writes, (*ELSEWHERE, *PLACES))])
def test_files_are_read_by_what_waits_for_nobody_and_written_whole(package, kind, allowed):
    root = Path(files.__file__).parents[1]
    sources = {str(path.relative_to(root)): path for path in (root / package).rglob("*.py")}
    found = {
        f"{name}:{line}: {call}"
        for name, path in sources.items()
        if not name.startswith(allowed)
        for line, call in kind(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert not found


def test_a_pipe_among_the_files_of_a_checkpoint_or_of_weights_is_told_at_once(tmp_path):
    from artv_eval.features.weights import sha256_of
    from artv_eval.methods import checkpoints

    os.mkfifo(tmp_path / "model.safetensors")
    for read in (sha256_of, files.regular, files.read_text):
        with pytest.raises(OSError, match="it is no file"):
            read(tmp_path / "model.safetensors")
    checkpoints.digest(str(tmp_path))  # of the files


def test_who_writes_once_first_is_heard(tmp_path):
    files.write_once(tmp_path / "id", b"first")
    files.write_once(tmp_path / "id", b"second")
    assert (tmp_path / "id").read_bytes() == b"first" and [path.name for path in tmp_path.iterdir()] == ["id"]


@pytest.mark.parametrize("size", [0, 1, 5, 6, 9, 12, 13, 40])
@pytest.mark.parametrize("start", [0, 3])
def test_a_digest_of_the_ends_is_of_the_ends_and_of_a_small_file_the_whole(tmp_path, monkeypatch, size, start):
    monkeypatch.setattr(files, "END", 6)
    data = bytes(range(size))
    (tmp_path / "x").write_bytes(b"abc"[:start] + data + b"later" * bool(start))
    expected = hashlib.sha256(data if size <= 12 else data[:6] + data[-6:]).digest()
    assert files.ends_of(tmp_path / "x", start, size if start else None) == expected
