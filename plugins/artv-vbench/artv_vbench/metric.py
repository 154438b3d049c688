"""A VBench dimension as an evaluator: its per-video scores are the rows.

Shape legend: n clips.
"""

import contextlib
import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError
from artv_eval import ClipSet
from artv_vbench import DIMENSIONS
from artv_vbench.loading import loaded_once

BATCH = 16  # clips that are files at the same time
SCALE = {"imaging_quality": 0.01}  # VBench divides this dimension's mean by 100, and no clip's score


class VBenchEvaluator:
    """One dimension of VBench, mean over clips.

    Args:
        dimension: as VBench writes it.
        local: use only networks that are already in VBench's cache.
        device: where it runs.

    Raises:
        UserError: VBench is not installed, or does not import.
    """

    higher_is_better = True

    def __init__(self, dimension: str, *, local: bool = False, device: str = "cpu") -> None:
        self.dimension, self.local, self.device = dimension, local, device
        self.name = f"vbench-{dimension.replace('_', '-')}"
        self.needs = frozenset({"captions"}) if dimension in ("overall_consistency", "temporal_style") else frozenset()
        self._vbench, self._networks = _import(), dict[str, Any]()
        self.digest = f"vbench-{_version()}-{dimension}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, 1): VBench's score of each clip."""
        parts = [self._scores(clips[start : start + BATCH]) for start in range(0, len(clips), BATCH)]
        return np.concatenate(parts)[:, None]

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): the scores, on the scale of VBench's totals."""
        return rows[:, 0] * SCALE.get(self.dimension, 1.0)

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """Their mean."""
        return float(self.per_clip(rows).mean())

    def _scores(self, clips: ClipSet) -> np.ndarray:
        import torch

        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
            root = Path(folder)
            prompts = {str(path): prompt for path, prompt in _written(clips, root / "videos")}
            bench = self._vbench.VBench(torch.device(self.device), str(_full_info(self._vbench)), str(root / "out"))
            with loaded_once(self.dimension, self._networks):
                bench.evaluate(
                    videos_path=str(root / "videos"),
                    name="clips",
                    prompt_list=prompts,
                    dimension_list=[self.dimension],
                    local=self.local,
                    mode="custom_input",
                )
            results = json.loads((root / "out" / "clips_eval_results.json").read_text(encoding="utf-8"))
        return _in_order(results[self.dimension][1], len(clips), self.dimension)


def _written(clips: ClipSet, folder: Path) -> Iterator[tuple[Path, str]]:
    """Writes the clips as files named by their place, exactly: yuv444p keeps every chroma sample."""
    import av

    folder.mkdir(parents=True)
    for place, (request, clip) in enumerate(clips):
        path = folder / f"{place:05d}.mp4"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("libx264", rate=max(round(request.fps), 1))
            stream.height, stream.width = clip.frames.shape[1:3]
            stream.pix_fmt, stream.options = "yuv444p", {"crf": "0"}
            for frame in clip.frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
            container.mux(stream.encode())
        yield path, request.caption


def _in_order(scores: list[dict[str, Any]], n: int, dimension: str) -> np.ndarray:
    """(n,) by place: VBench lists files in an order of its own."""
    found = {int(Path(score["video_path"]).stem): float(score["video_results"]) for score in scores}
    if sorted(found) != list(range(n)):
        raise UserError(f"VBench scored {len(found)} of {n} clips for {dimension}; is vbench {_version()} supported?")
    return np.array([found[place] for place in range(n)])


def _import() -> Any:
    try:
        import vbench
    except ModuleNotFoundError as error:
        if error.name == "vbench":
            raise UserError("VBench is not installed: pip install vbench") from None
        raise UserError(f"VBench needs the package {error.name}, which is not installed") from None
    except Exception as error:
        raise UserError(f"VBench does not import: {type(error).__name__}: {' '.join(str(error).split())}") from None
    return vbench


def _version() -> str:
    try:
        return importlib.metadata.version("vbench")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _full_info(vbench: Any) -> Path:
    """VBench's own list of prompts, which its constructor asks for in every mode."""
    return Path(vbench.__file__).parent / "VBench_full_info.json"


def _factory(dimension: str) -> Any:
    def make(*, local: bool = False, device: str = "cpu") -> VBenchEvaluator:
        return VBenchEvaluator(dimension, local=local, device=device)

    make.__doc__ = f"VBench's {dimension.replace('_', ' ')}: {DIMENSIONS[dimension]}.\n\nArgs:\n"
    make.__doc__ += "    local: use only networks that are already in VBench's cache.\n    device: where it runs.\n"
    return make


subject_consistency, background_consistency, temporal_flickering, motion_smoothness = map(
    _factory, ("subject_consistency", "background_consistency", "temporal_flickering", "motion_smoothness")
)
dynamic_degree, aesthetic_quality, imaging_quality, overall_consistency, temporal_style = map(
    _factory, ("dynamic_degree", "aesthetic_quality", "imaging_quality", "overall_consistency", "temporal_style")
)
