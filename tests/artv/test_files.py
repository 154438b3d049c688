"""Files that are whole or not there, whoever is killed and however many write."""

import os
import signal
import subprocess
import sys
import time

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
