"""A process ends with the one that started it, however that one ends."""

import os
import signal
import time
from pathlib import Path

from artv_eval.executors.orphans import end_with


def child(reports: int) -> None:
    """Starts a process that would wait for a minute, says which, and waits to be killed."""
    if not (grandchild := os.fork()):
        end_with(os.getppid())
        time.sleep(60)
        os._exit(0)
    os.write(reports, f"{grandchild}\n".encode())
    time.sleep(60)
    os._exit(0)


def test_what_a_killed_process_started_ends_soon():
    reading, reports = os.pipe()
    if not (parent := os.fork()):
        child(reports)
    orphan = int(os.read(reading, 20))
    os.kill(orphan, 0)  # it is there
    time.sleep(0.3)  # and stays while its parent does
    os.kill(orphan, 0)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    until = time.monotonic() + 20
    while _runs(orphan) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(orphan)


def _runs(pid: int) -> bool:
    """Whether it is there and no zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
