"""A program of another environment that is kept running and asked over pipes, a line of JSON each way.

    program = Program(["conda", "run", "-n", "theirs", "python", "serve.py"], folder, environment)
    program.ask([{"index": 0, "prompt": …}])
    program.answer(60.0)                     # {"index": 0, …}, or a ProgramFault with what went wrong

It has a process group of its own, and a mark in its environment that what it starts inherits, in sessions of their own
too, as torchrun does. All of these end with it: at :meth:`Program.end`, when nobody holds the object any more, and when
this process ends. Where this process is killed outright, the program sees the end of its stdin.
"""

import io
import json
import os
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any
from uuid import uuid4

from artv.files import read_bytes

PATIENCE = 2.0  # seconds in which a program may end by itself once its stdin has
TICK = 0.2  # seconds between looks whether it is still there
MARK = "ARTV_PROGRAM"  # in the environment of all of its processes
LAST = 4  # lines of stderr that are told
LONGEST = 1 << 20  # bytes of an answer
SHOWN = 160  # characters of a line


class ProgramFault(Exception):
    """The program is of no more use and has been ended. One line: why, and how its stderr ends."""


class Program:
    """Starts it. Raises OSError where there is nothing to start.

    Args:
        command: the program and its arguments; no shell reads them.
        folder: where it works.
        environment: all of it.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        mark = f"{os.getpid()}-{uuid4().hex}"
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, MARK: mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._lines: Queue[bytes] = Queue()
        self._said: deque[bytes] = deque(maxlen=LAST + 1)  # and the empty line at its end
        self._listeners = [
            _thread(_listen, io.BufferedReader(pipe), keep)  # type: ignore[arg-type]
            for pipe, keep in ((self._process.stdout, self._lines.put), (self._process.stderr, self._said.append))
        ]
        self._mark = f"{MARK}={mark}".encode()
        self.end = weakref.finalize(self, _end, self._process, self._mark)
        """Ends it with its process group; it may end by itself first, for a short while. Once is enough."""

    def ask(self, requests: Iterable[Mapping[str, Any]]) -> None:
        """Sends lines. Never waits: a program may leave them unread."""
        text = "".join(json.dumps(request) + "\n" for request in requests)
        _thread(_write, self._process.stdin, text.encode())

    def answer(self, seconds: float, since: float | None = None) -> dict[str, Any]:
        """The next line of its stdout, an object.

        Args:
            seconds: that it may take.
            since: when they began (``time.monotonic``); None: now.

        Raises:
            ProgramFault: no line in that time, none of JSON, or the program has ended.
        """
        until = (time.monotonic() if since is None else since) + seconds
        line = self._line(until)
        if line is None:
            raise self.fault(f"gave no answer within {seconds:g} s")
        if not line:
            raise self.fault(self._ending())
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self.fault(f"wrote {_shown(line)!r} to its stdout, where an object of JSON a line is due")
        return value

    def _line(self, until: float) -> bytes | None:
        """A line; an empty one where there will be none, None where time is up."""
        while True:
            ended = self._process.poll() is not None  # its children may hold its stdout open all the same
            left = until - time.monotonic()
            try:
                return self._lines.get(timeout=min(max(left, 0.0), TICK))
            except Empty:
                if ended or left <= 0:
                    return b"" if ended else None

    def fault(self, what: str) -> ProgramFault:
        """Kills it, and says so."""
        _kill(self._process, self._mark)
        self.end()
        for listener in self._listeners:
            listener.join(PATIENCE)
        said = " | ".join([text for line in self._said if (text := _shown(line))][-LAST:])
        return ProgramFault(f"the program {what}; its stderr {f'ends: {said}' if said else 'is empty'}")

    def _ending(self) -> str:
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "closed its stdout"
        if code >= 0:
            return f"ended with exit code {code}"
        name = next((item.name for item in signal.Signals if item == -code), f"signal {-code}")
        return f"was ended by {name}"


def _thread(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    # of no method: a thread that held the program would keep it from being ended
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def _listen(pipe: IO[bytes], keep: Callable[[bytes], Any]) -> None:
    """Gives lines to ``keep`` until the pipe ends, and then an empty one."""
    with pipe:
        while line := pipe.readline(LONGEST):
            keep(line)
    keep(b"")


def _write(pipe: IO[bytes], data: bytes) -> None:
    with suppress(OSError, ValueError):  # it has ended: whoever waits for its answer hears of that
        while data:
            data = data[pipe.write(data) :]


def _end(process: subprocess.Popen[bytes], mark: bytes) -> None:
    with suppress(OSError):
        process.stdin.close()  # type: ignore[union-attr]
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    _kill(process, mark)
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)


def _kill(process: subprocess.Popen[bytes], mark: bytes) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for environment in Path("/proc").glob("[0-9]*/environ"):  # where there is one: on Linux
        with suppress(OSError):  # others' processes, and those that have just ended
            if mark in read_bytes(environment).split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def _shown(line: bytes) -> str:
    return " ".join(line.decode("utf-8", "replace").split())[:SHOWN]
