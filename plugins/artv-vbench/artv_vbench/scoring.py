"""Scores of clips by VBench's own code: clips become files, VBench is told which, and its score of each is read.

Shape legend: n clips, T frames.
"""

import contextlib
import importlib
import importlib.metadata
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError
from artv_eval import ClipSet
from artv_vbench.loading import loaded_once
from artv_vbench.segments import is_long, segment_seconds, segments
from artv_vbench.static import FILTERED, stands_still
from artv_vbench.suite import Suite

BATCH = 16  # clips that are files at the same time
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

    Raises:
        UserError: VBench is not installed, or lacks a package that one of these needs.
    """

    def __init__(self, device: str = "cpu", dimensions: Sequence[str] = ()) -> None:
        self._vbench, self.device = imported(dimensions), device

    def scores(self, clips: ClipSet, dimensions: Sequence[str], suite: Suite | None = None) -> np.ndarray:
        """(n, dimensions): VBench's score of each clip; NaN where it has none.

        Args:
            suite: a clip is scored under the dimensions that this list has its prompt for alone, and under temporal
                flickering if it stands still; None: under all.
        """
        found = np.full((len(clips), len(dimensions)), np.nan)
        for start in range(0, len(clips), BATCH):
            few = clips[start : start + BATCH]
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
                parts = list(_written(few, Path(folder), dimensions, suite, self.device))
                for column, dimension in enumerate(dimensions):
                    its = [part for part in parts if dimension in part.dimensions]
                    found[start : start + len(few), column] = self._of(dimension, its, len(few), Path(folder))
        return found

    def _of(self, dimension: str, parts: Sequence[Part], n: int, folder: Path) -> np.ndarray:
        """(n,): the mean over the parts of each clip that VBench gives a score."""
        if not parts:
            return np.full(n, np.nan)
        import torch

        bench = _told(self._vbench.VBench, _listing(dimension, parts))(
            torch.device(self.device), str(full_info(self._vbench)), str(folder / "out")
        )
        try:
            with loaded_once(dimension):
                bench.evaluate(videos_path=str(folder), name="clips", dimension_list=[dimension], local=True)
        except ZeroDivisionError:  # of color: it divides by the clips in which it finds the object
            return np.full(n, np.nan)
        results = json.loads((folder / "out" / "clips_eval_results.json").read_text(encoding="utf-8"))
        return _by_clip(results[dimension][1], parts, n, dimension)


def _by_clip(scores: Sequence[Mapping[str, Any]], parts: Sequence[Part], n: int, dimension: str) -> np.ndarray:
    found = {Path(score["video_path"]).name: float(score["video_results"]) for score in scores}
    lost = [part for part in parts if part.path.name not in found]
    if found.keys() - {part.path.name for part in parts} or (lost and dimension != "color"):
        raise UserError(
            f"VBench scored {len(found)} of {len(parts)} files for {dimension}; is vbench {version()} supported?"
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


def _told(base: Any, listing: list[dict[str, Any]]) -> Any:
    """VBench's class, told which files there are: it finds those of its list by names made of prompts."""

    class Told(base):
        def build_full_info_json(self, videos_path: str, name: str, *_: Any, **__: Any) -> str:
            path = Path(self.output_path) / f"{name}_full_info.json"
            path.write_text(json.dumps(listing), encoding="utf-8")
            return str(path)

    return Told


def _written(
    clips: ClipSet, folder: Path, dimensions: Sequence[str], suite: Suite | None, device: str
) -> Iterator[Part]:
    """Writes the clips that are of a dimension, cut by VBench-Long's rule, named by their place."""
    for place, (request, clip) in enumerate(clips):
        entry = None if suite is None else suite.of(request.caption)
        its = tuple(dimensions) if entry is None else entry.dimensions
        frames, rate, cut = np.asarray(clip.frames), max(round(request.fps), 1), [slice(None)]
        long = is_long(len(frames), request.fps)
        if entry is not None and not long and FILTERED in its and not stands_still(frames, device):
            its = tuple(name for name in its if name != FILTERED)
        if not set(its) & set(dimensions):
            continue
        if long:
            cut = segments(len(frames), rate, segment_seconds(() if entry is None else its))
        action = ACTION.fullmatch(request.caption) if "human_action" in its else None
        name = f"person is {action[1].lower()}_" if action else ""  # where VBench reads it
        for number, piece in enumerate(cut):
            path = folder / f"{name}{place:05d}_{number:03d}.mp4"
            _write(path, frames[piece], rate)
            yield Part(place, path, request.caption, {} if entry is None else entry.auxiliary, its)


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


def imported(dimensions: Sequence[str] = ()) -> Any:
    """The package. Raises UserError with what is missing, for these dimensions too."""
    try:
        import vbench

        for name in dimensions:
            importlib.import_module(f"vbench.{name}")
    except ModuleNotFoundError as error:
        if error.name == "vbench":
            raise UserError("VBench is not installed: pip install vbench") from None
        raise UserError(f"VBench needs the package {error.name}, which is not installed") from None
    except Exception as error:
        raise UserError(f"VBench does not import: {type(error).__name__}: {' '.join(str(error).split())}") from None
    return vbench


def version() -> str:
    """Version of VBench."""
    try:
        return importlib.metadata.version("vbench")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def full_info(vbench: Any) -> Path:
    """VBench's own list of prompts, which its constructor asks for in every mode."""
    return Path(vbench.__file__).parent / "VBench_full_info.json"
