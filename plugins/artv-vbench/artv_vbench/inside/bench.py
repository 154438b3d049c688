"""The module that calls VBench. Answers are lists, numbers and texts, so that another process can give them."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from .loading import loaded_once
from .networks import files_of
from .still import speeds

ENVIRONMENT = (
    "vbench", "torch", "torchvision", "numpy", "opencv-python", "opencv-python-headless", "decord", "pillow", "timm",
    "transformers", "pyiqa", "openai-clip", "detectron2",
)  # fmt: skip
ELSEWHERE = "give the setting python=PATH of an environment that has it"


class Lacking(Exception):
    """What VBench needs and is not there: a package, a network. One line."""


class Bench:
    """VBench of this process.

    Args:
        device: where its networks run.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def check(self, dimensions: list[str]) -> None:
        """Raises Lacking where VBench, or what one of these dimensions imports, is not there."""
        for module in ("vbench", *(f"vbench.{name}" for name in dimensions)):
            try:
                importlib.import_module(module)
            except Exception as error:
                raise Lacking(_why(error)) from None

    def environment(self) -> list[str]:
        """``package version`` of what VBench computes with, as far as it is installed."""
        return [f"{name} {version}" for name in ENVIRONMENT if (version := _version(name))]

    def list_path(self) -> str:
        """VBench's own list of prompts, which its constructor asks for in every mode."""
        return str(Path(importlib.import_module("vbench").__file__ or "").parent / "VBench_full_info.json")

    def files(self, dimension: str, fetch: bool) -> list[str]:
        """``name sha256`` of the files that a dimension reads.

        Args:
            fetch: VBench may fetch what is missing.

        Raises:
            Lacking: one is missing.
        """
        try:
            return [f"{path.name} {_sha256(path, path.stat().st_mtime_ns)}" for path in files_of(dimension, fetch)]
        except FileNotFoundError as error:
            raise Lacking(str(error)) from None

    def score(self, dimension: str, listing: list[dict[str, Any]], folder: str) -> list[tuple[str, float]]:
        """Name and score of each file that VBench gives one.

        Args:
            listing: the files, as VBench writes them in its own list.
            folder: of them.
        """
        import torch

        vbench = importlib.import_module("vbench")
        bench = _told(vbench.VBench, listing)(torch.device(self.device), self.list_path(), f"{folder}/out")
        try:
            with loaded_once(dimension), torch.no_grad():  # scene keeps 20 GB for gradients otherwise
                bench.evaluate(videos_path=folder, name="clips", dimension_list=[dimension], local=True)
        except ZeroDivisionError:  # of color: it divides by the clips in which it finds the object
            return []
        results = json.loads(Path(folder, "out", "clips_eval_results.json").read_text(encoding="utf-8"))
        return [(Path(each["video_path"]).name, float(each["video_results"])) for each in results[dimension][1]]

    def speeds(self, file: str) -> list[float]:
        """Speeds of the neighbouring frames, and of the first and the last, of a clip in a ``.npy`` file."""
        import numpy as np

        return speeds(np.load(file), self.device)


def _told(base: Any, listing: list[dict[str, Any]]) -> Any:
    """VBench's class, told which files there are: it finds those of its list by names made of prompts."""

    class Told(base):
        def build_full_info_json(self, videos_path: str, name: str, *_: Any, **__: Any) -> str:
            path = Path(self.output_path) / f"{name}_full_info.json"
            path.write_text(json.dumps(listing), encoding="utf-8")
            return str(path)

    return Told


def _why(error: Exception) -> str:
    """Why VBench does not import."""
    package = (getattr(error, "name", None) or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and not _is_here(package):
        if package == "vbench":
            return f"VBench is not installed: pip install vbench, or {ELSEWHERE}"
        return f"VBench needs the package {package}, which is not installed; install it, or {ELSEWHERE}"
    return (
        f"VBench does not import here: {type(error).__name__}: {' '.join(str(error).split())}; it asks for numpy "
        "below 2 and transformers 4.33: give the setting python=PATH of an environment that has them"
    )


def _is_here(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # a name that is None in sys.modules
        return False


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=64)
def _sha256(path: Path, changed: int) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()
