"""Video files to frames, in other processes: decoding overlaps the network, and a file on which it hangs is given up.

    for clip in decode(files, Excerpt(frames=16, fps=8.0)):
        clip.frames if clip.error is None else clip.error

Workers are plain subprocesses (``python -m artv_eval.files.decoding``) that read requests and write frames over
pipes, so a decoder that crashes or hangs takes nothing with it. Results come in the order of the files, a few of them
ahead.

Shape suffixes: T frames, H W pixels.
"""

import os
import pickle
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import numpy as np

from artv.devices import cores
from artv.errors import UserError
from artv.renamed import renamed
from artv_eval.files.excerpts import Decoded, Excerpt, Parts, read_excerpt
from artv_eval.files.spool import Spool, SpoolFull
from artv_eval.memory import give_back

WORKER = [sys.executable, "-m", "artv_eval.files.decoding"]
AHEAD = 3  # clips in flight for each worker
LONG_AHEAD = 4 if cores() >= 8 else 2  # in flight in all, where each is a large temporary file
PIPE = 2**20  # bytes

__getattr__ = renamed(__name__, {"Window": "Excerpt", "read_window": "read_excerpt"})


class Decoders:
    """Decoding processes that start with the first files and stay for more.

        with Decoders(16) as decoders:
            for folder in folders:
                for clip in decoders.decode(video_files(folder), excerpt): ...

    Args:
        workers: processes; 0 decodes in the caller, without a time-out.
        timeout: seconds a file may take.
    """

    def __init__(self, workers: int, timeout: float = 60.0):
        self.workers, self.timeout = workers, timeout
        self._pool = ThreadPoolExecutor(max(workers, 1))
        self._idle: SimpleQueue[subprocess.Popen] = SimpleQueue()
        self._processes, self._stopped = set[subprocess.Popen](), False

    def decode(
        self, paths: Sequence[Path], excerpt: Excerpt, seeds: Sequence[int] | None = None
    ) -> Generator[Decoded, None, None]:
        """Clips of the files in order; a file that cannot be read comes with its reason.

        ``seeds``: of ``which="random"``, one a file; by default its place in the list.
        """
        seeds = range(len(paths)) if seeds is None else seeds
        if self.workers == 0:
            yield from (_decode_here(path, excerpt, seed) for path, seed in zip(paths, seeds, strict=True))
            return
        for _ in range(len(self._processes), min(self.workers, len(paths))):
            self._idle.put(self._start())
        pending: deque[Future[Decoded]] = deque()
        try:
            for path, seed in zip(paths, seeds, strict=True):
                pending.append(self._pool.submit(self._decode, path, excerpt, seed))
                if len(pending) >= (LONG_AHEAD if excerpt.long else self.workers * AHEAD):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._pool.shutdown(cancel_futures=True)
        self._stop()  # a process that was just being started

    def _decode(self, path: Path, excerpt: Excerpt, seed: int) -> Decoded:
        if self._stopped:
            return Decoded(path=path, frames=None, error="stopped")
        process = self._idle.get()
        if process.poll() is not None:
            process = self._start()
        watch = _Watch(process, self.timeout)
        try:
            _send(process.stdin, (path, excerpt, seed))
            return _receive(process.stdout, path, watch.fed)
        except SpoolFull:  # what is still on its way is of no use
            self._end(process)
            raise
        except (OSError, EOFError, struct.error):
            self._end(process)
            why = f"no answer within {self.timeout:g} s" if watch.late else "the decoder crashed"
            return Decoded(path=path, frames=None, error=f"video {path} cannot be read: {why}{watch.came}")
        finally:
            watch.end()
            self._idle.put(process)

    def _start(self) -> subprocess.Popen:
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        _widen(process.stdout)
        self._processes.add(process)
        return process

    def _stop(self) -> None:
        self._stopped = True
        for process in list(self._processes):
            self._end(process)

    def _end(self, process: subprocess.Popen) -> None:
        process.kill()
        process.wait()
        self._processes.discard(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # a request was still on its way
                    pipe.close()


def decode(
    paths: Sequence[Path],
    excerpt: Excerpt,
    *,
    workers: int = 2,
    timeout: float = 60.0,
    seeds: Sequence[int] | None = None,
) -> Generator[Decoded, None, None]:
    """Clips of the files in order, by processes that end with it; arguments as of :class:`Decoders`."""
    with Decoders(workers, timeout) as decoders:
        yield from decoders.decode(paths, excerpt, seeds)


def _decode_here(path: Path, excerpt: Excerpt, seed: int) -> Decoded:
    try:
        return read_excerpt(path, excerpt, seed)
    except SpoolFull:
        raise
    except UserError as error:
        return Decoded(path=path, frames=None, error=str(error))


def _widen(pipe: IO[bytes] | None) -> None:
    """Lets a pipe hold more than the usual 64 KiB, so that a clip crosses it in few steps; where the system can."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)  # type: ignore[arg-type]


def _send(pipe: IO[bytes] | None, value: Any) -> None:
    assert pipe is not None
    data = pickle.dumps(value)
    pipe.write(struct.pack("<Q", len(data)) + data)
    pipe.flush()


class _Watch:
    """Kills a process that sends nothing for ``timeout`` seconds."""

    def __init__(self, process: subprocess.Popen, timeout: float) -> None:
        self._process, self._timeout, self.late = process, min(timeout, threading.TIMEOUT_MAX), False
        self._frames, self._fed, self._ended = 0, time.monotonic(), False
        self._wait(self._timeout)

    def fed(self, frames: int) -> None:
        """More frames came."""
        self._frames, self._fed = self._frames + frames, time.monotonic()

    @property
    def came(self) -> str:
        """How many, as the end of a line."""
        return f"; {self._frames} frames were read" if self._frames else ""

    def end(self) -> None:
        """The process may live."""
        self._ended = True
        self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._look)
        self._timer.start()

    def _look(self) -> None:
        left = self._fed + self._timeout - time.monotonic()
        if self._ended:
            return
        if left > 0:
            return self._wait(left)
        self.late = True
        self._process.kill()


def _receive(pipe: IO[bytes] | None, path: Path, fed: Callable[[int], None]) -> Decoded:
    """What :func:`_answer` sends."""
    assert pipe is not None
    about, shape = _taken(pipe)
    if about.error is not None:
        return about
    spool = Spool(shape)
    while True:
        count = _taken(pipe)
        if isinstance(count, str):
            return Decoded(path=path, frames=None, error=count)
        if not count:
            return replace(about, frames=spool.frames())
        frames = spool.room(count)
        _fill(pipe, frames.data.cast("B"))
        spool.filled(frames)
        fed(count)


def _answer(out: IO[bytes], path: Path, excerpt: Excerpt, seed: int) -> None:
    """What is known of the file with the shape of its frames; then how many frames come and these, until it is 0.

    In the place of a number there may be a text: why no more come.
    """
    try:
        parts = Parts(path, excerpt, seed)
    except UserError as error:
        return _send(out, (Decoded(path=path, frames=None, error=str(error)), None))
    _send(out, (parts.about, parts.shape))
    try:
        for frames in parts:
            _send(out, len(frames))
            out.write(np.ascontiguousarray(frames).data)
            out.flush()
            del frames  # before the next ones come
    except UserError as error:
        return _send(out, str(error))
    return _send(out, 0)


def _taken(pipe: IO[bytes]) -> Any:
    return pickle.loads(_exactly(pipe, struct.unpack("<Q", _exactly(pipe, 8))[0]))


def _exactly(pipe: IO[bytes], size: int) -> bytearray:
    data = bytearray(size)
    _fill(pipe, memoryview(data))
    return data


def _fill(pipe: IO[bytes], view: memoryview) -> None:
    done = 0
    while done < len(view):
        count = pipe.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        done += count


def work() -> None:
    """The worker: requests on stdin, clips on what was stdout; what libraries print about files is lost.

    Python's own errors go to stderr.
    """
    out, sys.stderr = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(2), "w", 1, encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with closing(out):
        while header := sys.stdin.buffer.read(8):
            path, excerpt, seed = pickle.loads(sys.stdin.buffer.read(struct.unpack("<Q", header)[0]))
            _answer(out, path, excerpt, seed)
            give_back()


if __name__ == "__main__":
    # unpickling must find the classes under their own module's name, not under __main__
    from artv_eval.files import decoding

    decoding.work()
