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
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import numpy as np

from artv.errors import UserError
from artv.renamed import renamed
from artv_eval.extras import ReaderExtras, optional

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".mov", ".webm")
WORKER = [sys.executable, "-m", "artv_eval.files.decoding"]
AHEAD = 3  # clips in flight for each worker
PIPE = 2**20  # bytes

__getattr__ = renamed(__name__, {"Window": "Excerpt", "read_window": "read_excerpt"})


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Which frames of a video, and what is done to them.

    ``fps`` None: the video's own rate; ``stride``: every k-th frame at that rate; ``which``: first, centre or random
    (drawn from the file's place in the list). ``transform``: fields of ``artv_eval.features.preprocess.Transform``.
    ``own_rates``: that files of different rates are each taken at their own is meant, not forgotten.
    """

    frames: int
    fps: float | None = None
    stride: int = 1
    which: str = "first"
    transform: tuple[tuple[str, Any], ...] = ()
    reader: str = "decord"
    own_rates: bool = False


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A clip, uint8 (T, H, W, 3), with the rate of its file and what read it; or the reason why there is none."""

    path: Path
    frames: np.ndarray | None
    fps: float = 0.0
    reader: str = ""
    error: str | None = None

    @property
    def shown(self) -> np.ndarray:
        """The frames. Raises UserError with the reason if there are none."""
        if self.frames is None:
            raise UserError(self.error or f"video {self.path} has no frames")
        return self.frames


def read_excerpt(path: Path, excerpt: Excerpt, seed: int = 0) -> Decoded:
    """The excerpt's frames. Raises UserError that names the file and what is wrong."""
    from artv.data.readers import frames_at, open_video, read_frames

    video = open_video(path, excerpt.reader)
    available = frames_at(video, excerpt.fps)
    span = (excerpt.frames - 1) * excerpt.stride + 1
    spare = len(available) - span
    if spare < 0:
        at = f"{excerpt.fps:g} fps" if excerpt.fps else "its own rate"
        raise UserError(f"video {path} has {len(available)} frames at {at}; the protocol needs {span}")
    place = {"first": 0, "centre": spare // 2, "random": int(np.random.default_rng(seed).integers(spare + 1))}
    start = place[excerpt.which]
    frames = read_frames(path, video, available[start : start + span : excerpt.stride])
    used = optional(video, ReaderExtras, "used") or excerpt.reader
    return Decoded(path=path, frames=_transformed(frames, excerpt), fps=video.fps, reader=used)


def _transformed(frames_THWC: np.ndarray, excerpt: Excerpt) -> np.ndarray:
    if not excerpt.transform:
        return frames_THWC
    from artv_eval.features.preprocess import Transform

    return Transform(**dict(excerpt.transform))(frames_THWC)


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
                if len(pending) >= self.workers * AHEAD:
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
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(min(self.timeout, threading.TIMEOUT_MAX), give_up)
        timer.start()
        try:
            _send(process.stdin, (path, excerpt, seed))
            return _receive(process.stdout, path)
        except (OSError, EOFError, struct.error):
            self._end(process)
            why = f"no answer within {self.timeout:g} s" if late.is_set() else "the decoder crashed"
            return Decoded(path=path, frames=None, error=f"video {path} cannot be read: {why}")
        finally:
            timer.cancel()
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


def _receive(pipe: IO[bytes] | None, path: Path) -> Decoded:
    assert pipe is not None
    shape, fps, reader, error = pickle.loads(_exactly(pipe, struct.unpack("<Q", _exactly(pipe, 8))[0]))
    if error is not None:
        return Decoded(path=path, frames=None, error=error)
    frames = np.empty(shape, np.uint8)
    _fill(pipe, frames.data.cast("B"))
    return Decoded(path=path, frames=frames, fps=fps, reader=reader)


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
            clip = _decode_here(path, excerpt, seed)
            shape = None if clip.frames is None else clip.frames.shape
            _send(out, (shape, clip.fps, clip.reader, clip.error))
            if clip.frames is not None:
                out.write(np.ascontiguousarray(clip.frames).data)
                out.flush()


if __name__ == "__main__":
    # unpickling must find the classes under their own module's name, not under __main__
    from artv_eval.files import decoding

    decoding.work()
