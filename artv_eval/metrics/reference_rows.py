"""Rows of a protocol's reference clips that ship with the package, so that a sweep does not describe them again.

A file's name is the hash of all that its rows depend on (protocol, frames, the metric's weights), so rows of other
weights are never taken: they are computed as if no file was there. ``artv_eval.feature_training.reference_rows``
makes the files.

Shape suffixes: m reference clips, d numbers a row.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from artv_eval.api import ClipSet
from artv_eval.features.base import digest_of
from artv_eval.results.arrays import Damaged, read_arrays, write_arrays

FOLDER = Path(__file__).parents[1] / "assets" / "reference"


def file_of(protocol_hash: str, digest: str, frames: int) -> Path:
    """Where the rows of a protocol's reference under a metric's ``digest`` are."""
    return FOLDER / f"{digest_of([protocol_hash, str(frames), digest])}.npz"


@lru_cache(maxsize=4)
def _read(path: Path) -> np.ndarray | None:
    try:
        return read_arrays(path, path.stem)["rows"]
    except (FileNotFoundError, Damaged, KeyError):
        return None


def shipped(clips: ClipSet, digest: str) -> np.ndarray | None:
    """Rows (m, d) of reference clips under a metric of this ``digest``, or None if these are other clips or metrics."""
    if clips.origin is None:
        return None
    protocol_hash, frames = clips.origin
    rows = _read(file_of(protocol_hash, digest, frames))
    return None if rows is None else rows[[request.index for request in clips.requests]]


def write(protocol: Any, evaluator: Any, frames: int) -> Path:
    """Describes the reference and keeps its rows."""
    path = file_of(protocol.hash, evaluator.digest, frames)
    path.unlink(missing_ok=True)
    _read.cache_clear()
    rows = np.asarray(evaluator.describe(protocol.reference(frames)), np.float32)
    made = f"protocol {protocol.name} {protocol.hash}, {frames} frames, {evaluator.digest}"
    write_arrays(path, path.stem, {"rows": rows, "made": np.array(made)}, compress=True)
    _read.cache_clear()
    return path
