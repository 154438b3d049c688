"""How much of a value is convention: the same clips under resize filter × stride × covariance × number of clips.

Shape suffixes: n clips.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from artv.errors import UserError, WorkFailed
from artv_eval.api import Evaluator
from artv_eval.files.decoding import Decoders, Excerpt, decode
from artv_eval.files.describe import WORKERS, Described, describe_files, video_files
from artv_eval.files.score import bad_files_of, notes_of, readers_of
from artv_eval.metrics.frechet import frechet_from_features
from artv_eval.results.rows import BadFile

COVARIANCES = {"n-1": 1, "n": 0}
STRIDES = (1, 2)
ZERO = 1e-6  # FVD of a set with itself, rounding included
TRIED = 3  # files of a folder that are tried under a stride before all are decoded


@dataclass(frozen=True, kw_only=True)
class Convention:
    """FVD under one choice, from ``n`` clips of either folder.

    ``change``: relative to the first row, which has the first of every choice; None where that is 0.
    """

    filter: str
    stride: int
    covariance: str
    n: int
    fvd: float
    change: float | None


def sensitivity(
    real: str | Path,
    fake: str | Path,
    evaluator: Evaluator,
    excerpt: Excerpt,
    *,
    size: int = 224,
    filters: Sequence[str] = ("bilinear", "bilinear-antialias", "bicubic-antialias", "area"),
    strides: Sequence[int] | None = None,
    covariances: Sequence[str] = ("n-1", "n"),
    numbers: Sequence[int] | None = None,
    bad_files: float = 0.01,
    cache: Path | None = None,
    workers: int = WORKERS,
    timeout: float = 60.0,
    on_choice: Callable[[str, int], None] | None = None,
    on_note: Callable[[str], None] = lambda note: None,
    on_bad: Callable[[BadFile], None] = lambda bad: None,
) -> list[Convention]:
    """FVD of two folders under every combination of choices.

    Args:
        evaluator: gives the features (an FVD evaluator without a transform of its own).
        excerpt: the frames; its stride and transform are replaced.
        size: pixels that frames are resized to, with each filter, before the extractor.
        strides: every k-th frame; by default 1 and, where the clips are long enough, 2.
        on_note: gets which files were left out: those that some choice cannot read, for instance as too short.
        on_bad: gets the same files one by one.
        numbers: how many clips of each folder, the first ones by name; by default all, a half and a quarter of the
            smaller folder.
        bad_files: share of a folder's files that may be left out.

    Raises:
        UserError: clips too short for a stride, a number above that of the files, or fewer than 2 that every choice
            can read.
        WorkFailed: more files left out than ``bad_files``.
    """
    if any(c not in COVARIANCES for c in covariances):
        raise UserError(f"covariances are {', '.join(covariances)}; each must be n-1 or n")
    files = {"real": video_files(real), "fake": video_files(fake)}
    smaller = min(files, key=lambda name: len(files[name]))
    if numbers and max(numbers) > len(files[smaller]):
        raise UserError(
            f"numbers has {max(numbers)} and the {smaller} folder {len(files[smaller])} clips; ask for at most so many"
        )
    strides = _fitting(files, excerpt, strides, min(workers, 1), timeout, on_note)
    found: dict[tuple[str, int], dict[str, Described]] = {}
    with Decoders(workers, timeout) as decoders:
        for filter, stride in product(filters, strides):
            if on_choice is not None:
                on_choice(filter, stride)
            chosen = replace(excerpt, stride=stride, transform=(("size", size), ("filter", filter)))
            found[filter, stride] = {
                name: describe_files(paths, [evaluator], chosen, cache=cache, decoders=decoders)
                for name, paths in files.items()
            }
    common = {
        name: _readable_everywhere(name, [sides[name] for sides in found.values()], bad_files, on_note, on_bad)
        for name in files
    }
    for note in readers_of(next(iter(found.values())), excerpt.reader):
        on_note(note)
    least = min(len(kept) for kept in common.values())
    chosen_numbers = list(dict.fromkeys(min(n, least) for n in numbers or _halves(least)))
    if numbers and max(numbers) > least:
        on_note(f"numbers above {least}: so many clips are left on either side, and are taken")
    rows: list[Convention] = []
    for (filter, stride), sides in found.items():
        x, y = (_features(sides[name], common[name], evaluator) for name in ("fake", "real"))
        for covariance, n in product(covariances, chosen_numbers):
            value = frechet_from_features(x[:n], y[:n], COVARIANCES[covariance])
            first = rows[0].fvd if rows else value
            rows.append(
                Convention(
                    filter=filter,
                    stride=stride,
                    covariance=covariance,
                    n=n,
                    fvd=value,
                    change=value / first - 1 if first > ZERO else None,
                )
            )
    return rows


def _fitting(
    files: Mapping[str, Sequence[Path]],
    excerpt: Excerpt,
    strides: Sequence[int] | None,
    workers: int,
    timeout: float,
    on_note: Callable[[str], None],
) -> Sequence[int]:
    """The strides for which the clips are long enough, by the first that can be read of each folder.

    Raises UserError if that is none, or one that was asked for is not among them.
    """
    fitting, notes = [], []
    for stride in strides or STRIDES:
        errors = [_unreadable(paths, replace(excerpt, stride=stride), workers, timeout) for paths in files.values()]
        if error := next(filter(None, errors), None):
            notes.append(f"stride {stride} is left out: {error}")
        else:
            fitting.append(stride)
    if not fitting or (strides and notes):
        raise UserError(f"{notes[0].replace(' is left out', '')}; lower --frames or --strides")
    for note in notes:
        on_note(note)
    return fitting


def _unreadable(paths: Sequence[Path], excerpt: Excerpt, workers: int, timeout: float) -> str | None:
    """Why none of the first files can be read, which is that of the first one; None where one can."""
    errors = []
    with closing(decode(paths[:TRIED], excerpt, workers=workers, timeout=timeout)) as clips:
        for clip in clips:
            if clip.error is None:
                return None
            errors.append(clip.error)
    return errors[0]


def _readable_everywhere(
    name: str,
    found: Sequence[Described],
    allowed: float,
    on_note: Callable[[str], None],
    on_bad: Callable[[BadFile], None],
) -> set[Path]:
    """Files that every choice could read: a row must not differ from another by its clips.

    Raises WorkFailed where more than the ``allowed`` share is left out.
    """
    bad = {path: reason for described in found for path, reason in described.bad.items()}
    common = set(found[0].files) - bad.keys()
    side = {name: Described(files=list(common), bad=bad)}
    for note in notes_of(side):
        on_note(note)
    for file in bad_files_of(side):
        on_bad(file)
    if len(common) < 2:
        why = f": {next(iter(bad.values()))}; lower --frames or --strides, or give other files" if bad else ""
        raise UserError(f"fewer than 2 {name} clips can be read under every choice{why}")
    if (status := side[name].withheld(allowed, name)) is not None:
        raise WorkFailed(f"{status}; mend or remove these files, or allow more of them with --bad-files")
    return common


def _features(described: Described, common: set[Path], evaluator: Evaluator) -> np.ndarray:
    if evaluator.digest in described.failed:
        raise WorkFailed(f"metric {evaluator.name} {described.failed[evaluator.digest]}; no row was made")
    keep = [i for i, file in enumerate(described.files) if file in common]
    return described.rows[evaluator.digest][keep]


def _halves(n: int) -> list[int]:
    return list(dict.fromkeys(max(k, 2) for k in (n, n // 2, n // 4)))
