"""How much of a value is convention: the same clips under resize filter × stride × covariance × number of clips.

Shape suffixes: n clips.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from artv.errors import UserError
from artv_eval.api import Evaluator
from artv_eval.decoding import Window
from artv_eval.folders import WORKERS, Described, describe_files, notes_of, video_files
from artv_eval.metrics.frechet import frechet_from_features

COVARIANCES = {"n-1": 1, "n": 0}


@dataclass(frozen=True, kw_only=True)
class Convention:
    """FVD under one choice; ``change`` is relative to the first row, which has the first of every choice."""

    filter: str
    stride: int
    covariance: str
    n: int
    fvd: float
    change: float


def sensitivity(
    real: str | Path,
    fake: str | Path,
    evaluator: Evaluator,
    window: Window,
    *,
    size: int = 224,
    filters: Sequence[str] = ("bilinear", "bilinear-antialias", "bicubic-antialias", "area"),
    strides: Sequence[int] = (1, 2),
    covariances: Sequence[str] = ("n-1", "n"),
    numbers: Sequence[int] | None = None,
    cache: Path | None = None,
    workers: int = WORKERS,
    timeout: float = 60.0,
    on_choice: Callable[[str, int], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> list[Convention]:
    """FVD of two folders under every combination of choices.

    Args:
        evaluator: gives the features (an FVD evaluator without a transform of its own).
        window: the frames; its stride and transform are replaced.
        size: pixels that frames are resized to, with each filter, before the extractor.
        on_note: gets which files were left out: those that some choice cannot read, for instance as too short.
        numbers: how many clips of each folder, the first ones by name; by default all, a half and a quarter.
    """
    if any(c not in COVARIANCES for c in covariances):
        raise UserError(f"covariances are {', '.join(covariances)}; each must be n-1 or n")
    files = {"real": video_files(real), "fake": video_files(fake)}
    found: dict[tuple[str, int], dict[str, Described]] = {}
    for filter, stride in product(filters, strides):
        if on_choice is not None:
            on_choice(filter, stride)
        chosen = replace(window, stride=stride, transform=(("size", size), ("filter", filter)))
        found[filter, stride] = {
            name: describe_files(paths, [evaluator], chosen, cache=cache, workers=workers, timeout=timeout)
            for name, paths in files.items()
        }
    common = {name: _readable_everywhere(name, [sides[name] for sides in found.values()], on_note) for name in files}
    rows: list[Convention] = []
    for (filter, stride), sides in found.items():
        x, y = (_features(sides[name], common[name], evaluator) for name in ("fake", "real"))
        for covariance, n in product(covariances, numbers or _halves(min(len(x), len(y)))):
            value = frechet_from_features(x[:n], y[:n], COVARIANCES[covariance])
            first = rows[0].fvd if rows else value
            rows.append(
                Convention(
                    filter=filter,
                    stride=stride,
                    covariance=covariance,
                    n=min(n, len(x), len(y)),
                    fvd=value,
                    change=value / first - 1 if first else float("nan"),
                )
            )
    return rows


def _readable_everywhere(name: str, found: Sequence[Described], on_note: Callable[[str], None] | None) -> set[Path]:
    """Files that every choice could read: a row must not differ from another by its clips."""
    bad = {path: reason for described in found for path, reason in described.bad.items()}
    if bad and on_note is not None:
        for note in notes_of({name: Described(bad=bad)}):
            on_note(note)
    common = set(found[0].files) - bad.keys()
    if len(common) < 2:
        why = f": {next(iter(bad.values()))}" if bad else ""
        raise UserError(f"fewer than 2 {name} clips can be read under every choice{why}")
    return common


def _features(described: Described, common: set[Path], evaluator: Evaluator) -> np.ndarray:
    keep = [i for i, file in enumerate(described.files) if file in common]
    return described.rows[evaluator.digest][keep]


def _halves(n: int) -> list[int]:
    return list(dict.fromkeys(max(k, 2) for k in (n, n // 2, n // 4)))
