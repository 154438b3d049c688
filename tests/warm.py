"""Processes of their own without the seconds that imports take: forked from one that has imported everything.

    done = run("artv", "train", "--preset", "shapes", …, cwd=tmp_path)           # as python -m artv train …
    first, second = ranks("script.py", cwd=tmp_path)                             # as torchrun starts two

They have their own streams, folder, environment, signals and end. Not their own are imports, and with them environment
variables that a library reads when it is imported: where these are the point, tests start Python.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

PACKAGES = ("torch._dynamo", "artv.training.launch", "artv.pipeline", "accelerate", "open_clip", "artv_eval.sweep.run")
SECONDS = 120


class Process:
    """One that was forked; ``pid`` can be sent signals."""

    def __init__(self, server: "Server", command: tuple[object, ...], cwd: object, environment: dict[str, str]) -> None:
        self.args, self.server = [str(word) for word in command], server
        kept = {"encoding": "utf-8", "errors": "replace"}
        self.streams = [tempfile.NamedTemporaryFile("w+", **kept) for _ in range(2)]  # noqa: SIM115
        names = [stream.name for stream in self.streams]
        env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        self.pid = server.ask(argv=self.args, cwd=str(cwd or Path.cwd()), env=env, streams=names)

    def ended(self) -> bool:
        """Whether it has, waited for or not."""
        file = Path(f"/proc/{self.pid}/stat")
        return not file.exists() or file.read_text().rpartition(")")[2].split()[0] == "Z"

    def kill(self) -> None:
        """Ends it at once, whatever it does, and waits for that."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self, seconds: float = SECONDS) -> "subprocess.CompletedProcess[str]":
        """Its exit code and what it wrote; killed when it takes too long."""
        timer = threading.Timer(seconds, os.kill, (self.pid, signal.SIGKILL))
        timer.start()
        code = self.server.ask(wait=self.pid)
        timer.cancel()
        return subprocess.CompletedProcess(self.args, code, *(stream.read() for stream in self.streams))


class Server:
    """The process that others are forked from, with ``environment`` when it imports ``packages``."""

    def __init__(self, packages: tuple[str, ...], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, *packages], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            encoding="utf-8", env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )  # fmt: skip

    def ask(self, **request: object) -> int:
        assert self.process.stdin and self.process.stdout
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@cache
def server(packages: tuple[str, ...] = PACKAGES, **environment: str) -> Server:
    """The one of this test process; it ends when its input does."""
    return Server(packages, environment)


def start(*command: object, cwd: object = None, **environment: str) -> Process:
    """``python -m MODULE …``, ``python SCRIPT.py …`` or ``python -c CODE``, and does not wait for it."""
    return Process(server(), command, cwd, environment)


def run(*command: object, cwd: object = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The same, and its end."""
    return start(*command, cwd=cwd, **environment).wait()


def interpreted(code: str) -> None:
    """Code that must end well where Triton's interpreter, which is chosen at its import, runs our kernels.

    With a GPU they run there, in a process of its own: beside a driver imports start threads, which no fork survives.
    """
    import torch

    if torch.cuda.is_available():
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    else:
        switch = {"TRITON_INTERPRET": "1"}
        packages = ("torch._dynamo", "artv.networks", "triton")
        done = Process(server(packages, **switch), ("-c", code), None, switch).wait()
    assert done.returncode == 0, done.stderr


def start_ranks(*command: object, cwd: object) -> list[Process]:
    """Two at once, with the environment that torchrun gives them but without its watch over them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [start(*command, cwd=cwd, RANK=rank, LOCAL_RANK=rank, **shared) for rank in "01"]


def ranks(*command: object, cwd: object) -> "list[subprocess.CompletedProcess[str]]":
    """The same, and their ends."""
    return [process.wait() for process in start_ranks(*command, cwd=cwd)]


def _serve() -> "dict[str, Any] | None":
    """In the server: answers until its input ends. In a forked process: what it was asked to be."""
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        elif not (answer := os.fork()):
            return request
        print(answer, flush=True)
    return None


def _become(argv: list[str], cwd: str, env: dict[str, str], streams: list[str]) -> None:
    """Goes on as ``python`` with these arguments would."""
    for number, name in enumerate([os.devnull, *streams]):
        os.dup2(os.open(name, os.O_RDWR), number)
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 (what the server has read ahead is not for this one)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    first, *rest = argv
    script = first.endswith(".py")
    sys.path[0] = str(Path(first).parent) if script else "" if first == "-c" else cwd
    sys.path[1:1] = [folder for folder in env.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.argv = [first, *(rest[1:] if first == "-c" else rest)]
    if first == "-c":
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif script:
        runpy.run_path(first, run_name="__main__")
    else:
        runpy.run_module(first, run_name="__main__", alter_sys=True)


def _main(packages: list[str]) -> None:
    for package in packages:
        import_module(package)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "threads do not survive a fork"
    if request := _serve():
        _become(**request)


if __name__ == "__main__":
    _main(sys.argv[1:])
