"""Scores of clips by VBench's own code: clips become files, VBench is told which, and its score of each is read.

A dimension is asked once for a clip, however many metrics read it (a total beside one of its dimensions).

Shape legend: n clips, T frames.
"""

import contextlib
import hashlib
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError
from artv_eval import ClipRequest, ClipSet, digest_of
from artv_vbench.remote import bench_of, said
from artv_vbench.segments import is_long, segment_seconds, segments
from artv_vbench.static import FILTERED, is_static
from artv_vbench.suite import Suite

RULE = "1"  # of how clips are cut into segments and files
BATCH = 16  # clips that are files at the same time
MOST = 200_000  # scores that a process keeps
ACTION = re.compile(r"a person is ([a-z ,'()]+)", re.IGNORECASE)  # the prompts of human_action


@dataclass(frozen=True)
class Part:
    """A file: a clip, or a segment of a long one."""

    clip: int
    path: Path
    prompt: str
    auxiliary: Mapping[str, Any]
    dimensions: tuple[str, ...]


class Scorer:
    """Scores of clips.

    Args:
        device: where VBench's networks run.
        dimensions: that will be asked for.
        python: of the environment that has VBench; None: this one.
        beside: dimensions whose networks it takes too, and no scores.

    Raises:
        UserError: VBench is not installed, or lacks a package that one of these needs.
    """

    def __init__(
        self, device: str, dimensions: Sequence[str], python: str | None = None, beside: Sequence[str] = ()
    ) -> None:
        self._bench, self._known = bench_of(python, device), known_of(python, device)
        self._dimensions, self._device = list(dimensions), device
        self._needed = list(dict.fromkeys([*dimensions, *beside]))
        with _printing_aside():
            self._bench.check(self._needed)

    def list_path(self) -> Path:
        """VBench's own list of prompts."""
        return Path(self._bench.list_path())

    def digest(self, fetch: bool) -> str:
        """Digest of the files that the dimensions read, of the packages that compute, and of the kind of device.

        Args:
            fetch: VBench may fetch the networks that it lacks.

        Raises:
            UserError: it lacks one.
        """
        with _printing_aside():
            weights = [f"{name} {digest_of(self._bench.files(name, fetch))}" for name in self._needed]
            return digest_of([RULE, *weights, *self._bench.environment(), self._device.partition(":")[0]])

    def scores(self, clips: ClipSet, suite: Suite | None = None) -> np.ndarray:
        """(n, dimensions): VBench's score of each clip; NaN where it has none.

        Args:
            suite: a clip is scored under the dimensions that this list has its prompt for alone, and under temporal
                flickering if it stands still; None: under all.
        """
        parts = [self._scored(clips[start : start + BATCH], suite) for start in range(0, len(clips), BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, len(self._dimensions)))

    def _scored(self, clips: ClipSet, suite: Suite | None) -> np.ndarray:
        """(n, dimensions): the same of clips that are files at the same time; what is known is not asked again."""
        keys: list[str] = []
        with tempfile.TemporaryDirectory() as folder, _printing_aside():
            parts = list(self._written(clips, Path(folder), suite, keys))
            for dimension in self._dimensions:
                if its := [part for part in parts if dimension in part.dimensions]:
                    scores = self._bench.score(dimension, _listing(dimension, its), folder)
                    values = _by_clip(scores, its, len(clips), dimension)
                    self._known |= {(dimension, keys[part.clip]): float(values[part.clip]) for part in its}
        found = [[self._known.get((dimension, key), np.nan) for dimension in self._dimensions] for key in keys]
        for oldest in list(self._known)[: max(len(self._known) - MOST, 0)]:
            del self._known[oldest]
        return np.array(found).reshape(len(clips), len(self._dimensions))

    def _written(self, clips: ClipSet, folder: Path, suite: Suite | None, keys: list[str]) -> Iterator[Part]:
        """Writes the clips whose scores are not known, cut by VBench-Long's rule, named by their place; ``keys``:
        takes what each clip is known by.
        """
        for place, (request, clip) in enumerate(clips):
            entry, frames = None if suite is None else suite.of(request.caption), np.asarray(clip.frames)
            keys.append(_key(request, frames, suite))
            its = tuple(self._dimensions) if entry is None else entry.dimensions
            left = tuple(name for name in self._dimensions if name in its and (name, keys[-1]) not in self._known)
            rate, cut = max(round(request.fps), 1), [slice(None)]
            long = is_long(len(frames), request.fps)
            if entry is not None and not long and FILTERED in left and not self._stands_still(frames, folder):
                self._known[FILTERED, keys[-1]] = np.nan
                left = tuple(name for name in left if name != FILTERED)
            if not left:
                continue
            if long:
                cut = segments(len(frames), rate, segment_seconds(() if entry is None else its))
            action = ACTION.fullmatch(request.caption) if "human_action" in its else None
            name = f"person is {action[1].lower()}_" if action else ""  # where VBench reads it
            for number, piece in enumerate(cut):
                path = folder / f"{name}{place:05d}_{number:03d}.mp4"
                _write(path, frames[piece], rate)
                yield Part(place, path, request.caption, {} if entry is None else entry.auxiliary, left)

    def _stands_still(self, frames_THWC: np.ndarray, folder: Path) -> bool:
        """Whether a clip, uint8, passes the filter of temporal flickering."""
        file = folder / "clip.npy"
        np.save(file, frames_THWC)
        return is_static(np.array(self._bench.speeds(str(file))), min(frames_THWC.shape[1:3]))


@cache
def known_of(python: str | None, device: str) -> dict[tuple[str, str], float]:
    """(dimension, clip) → score that VBench gave there in this process; NaN: none."""
    return {}


def _key(request: ClipRequest, frames_THWC: np.ndarray, suite: Suite | None) -> str:
    """What a clip's scores depend on, beside the networks that a process has loaded."""
    shown = hashlib.blake2b(np.ascontiguousarray(frames_THWC), digest_size=16)
    said = f"{request.caption}\n{request.fps}\n{suite and suite.digest}\n{frames_THWC.shape}"
    shown.update(said.encode())
    return shown.hexdigest()


@contextlib.contextmanager
def _printing_aside() -> Iterator[None]:
    """VBench prints a lot; what it lacks is the user's to mend."""
    with contextlib.redirect_stdout(sys.stderr), said():
        yield


def _by_clip(scores: Sequence[tuple[str, float]], parts: Sequence[Part], n: int, dimension: str) -> np.ndarray:
    """(n,): the mean over the parts of each clip that VBench gives a score."""
    found = {name: float(score) for name, score in scores}
    lost = [part for part in parts if part.path.name not in found]
    if found.keys() - {part.path.name for part in parts} or (lost and dimension != "color"):
        raise UserError(
            f"VBench scored {len(found)} of {len(parts)} files for {dimension}; is its version supported (0.1.5)?"
        )
    values: list[list[float]] = [[] for _ in range(n)]
    for part in parts:
        if part not in lost:
            values[part.clip].append(found[part.path.name])
    return np.array([np.mean(each) if each else np.nan for each in values])


def _listing(dimension: str, parts: Sequence[Part]) -> list[dict[str, Any]]:
    """What VBench reads of its files, as it writes it itself, with what to look for."""
    return [
        {"prompt_en": part.prompt, "dimension": [dimension], "video_list": [str(part.path)]}
        | ({"auxiliary_info": {dimension: part.auxiliary[dimension]}} if dimension in part.auxiliary else {})
        for part in parts
    ]


def _write(path: Path, frames: np.ndarray, rate: int) -> None:
    """An mp4 of exactly these frames: yuv444p keeps every chroma sample."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = "yuv444p", {"crf": "0"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
