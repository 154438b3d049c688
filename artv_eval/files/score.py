"""Metrics of folders of video files of any model: what ``artv-eval score`` does.

    found = score_folders("real/", "fake/", [fvd()], Excerpt(frames=16, fps=8.0))
    found.rows                    # value, interval, n, or why there is none

Files are decoded once for all metrics (``describe.py``). A file that cannot be read is named and counted; above the
share that the protocol allows, metrics are withheld.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from artv.data.captions import Captions
from artv.errors import UserError, counted
from artv_eval.api import Evaluator
from artv_eval.extras import EvaluatorExtras, optional
from artv_eval.features.base import digest_of
from artv_eval.files.decoding import Decoders, Excerpt
from artv_eval.files.describe import WORKERS, Described, check_rates, check_sizes, describe_files
from artv_eval.files.lengths import each_whole
from artv_eval.files.pairs import FOLDERS, Side, check_lengths, check_pairs, compare_folders, prompts_of
from artv_eval.files.saved_reference import SavedReference, is_saved
from artv_eval.metrics.bands import banded_curve
from artv_eval.metrics.base import features_of
from artv_eval.metrics.doubts import Judged, caption_doubts, doubts
from artv_eval.metrics.statistics import bootstrap_interval
from artv_eval.results.rows import (
    OK,
    BadFile,
    Curve,
    Results,
    Row,
    caveat_lines,
    features_lines,
    noted,
    prompts_lines,
    reason,
)

GIVEN = {"captions": "--captions FILE", "reference": "--real DIR"}
"""What a metric may need that the caller can give, with the option that gives it."""

UNSCORED = "not scored yet"

UNHELD = {
    "real": "the ground truth of each clip",
    "first_frame": "given first frames",
    "mask": "the masks of the model",
    "labels": "labels of what moves",
    "seconds": "the time that making a clip took",
}
"""What a metric may need that no video file holds."""


def lacking(evaluator: Evaluator, given: frozenset[str]) -> str | None:
    """The status of a metric that needs more than the files and what is ``given`` with them, or None."""
    missing = sorted(evaluator.needs - given)
    if unheld := [UNHELD.get(name, name) for name in missing if name not in GIVEN]:
        return f"absent: it needs {' and '.join(unheld)}, which video files do not hold; a sweep has it"
    return f"absent: it needs {' and '.join(GIVEN[name] for name in missing)}" if missing else None


def score_folders(
    real: str | Path | None,
    fake: str | Path | Mapping[str, Path],
    evaluators: Sequence[Evaluator],
    excerpt: Excerpt,
    *,
    absent: Mapping[str, str] | None = None,
    captions: Captions | Mapping[str, Captions] | None = None,
    bad_files: float = 0.01,
    same_length: bool = False,
    protocol: str = "folders",
    protocol_hash: str = "",
    hashes: Mapping[str, str] | None = None,
    real_which: str | None = None,
    real_transform: Mapping[str, Any] | None = None,
    cache: Path | None = None,
    workers: int = WORKERS,
    timeout: float = 60.0,
    resamples: int = 1000,
    on_clip: Callable[[str, int, int], None] | None = None,
) -> Results:
    """Values with intervals of the clips in ``fake``, against those in ``real`` where the metric needs them.

    A metric that these files cannot have, or that fails on them, is a row that says why. Several folders are compared
    with the first of them, clip by clip: those of one caption where each has captions of its own, else of one name.

    Args:
        real: a folder, or a file that ``artv-eval reference save`` wrote; None is enough for metrics without a
            reference.
        fake: a folder, or several by name.
        absent: metric → status, of metrics that have no evaluator, for their rows.
        captions: of the files in ``fake``, for CLIPSIM; by the names of several folders, each its own.
        bad_files: share of unreadable files above which metrics are withheld.
        protocol, protocol_hash: as shown in the rows; of a metric with a reference, the hash also covers its files.
        hashes: metric → its hash, where its settings are not the protocol's.
        real_which: the part of a real video that is taken, if not the excerpt's.
        real_transform: fields of the transform of real videos alone, where the excerpt has none for all.
        same_length: several folders must hold clips of the same numbers of frames, as where nobody said how many count.
        on_clip: progress: folder, files done, files in all.

    Raises:
        UserError: no metric can be had, fewer than 2 files, a file without a caption where one is needed, files that
            differ as :func:`describe_files` says, several folders that do not hold clips of the same names or captions,
            or lengths.
    """
    fakes = dict(fake) if isinstance(fake, Mapping) else {Path(fake).name: Path(fake)}
    texts = dict(captions) if isinstance(captions, Mapping) else dict.fromkeys(fakes, captions)
    labels = {name: name for name in fakes}
    if len(fakes) == 1:  # notes speak of the two sides as fake and real
        ((name, folder),) = fakes.items()
        fakes, texts, labels = {"fake": folder}, {"fake": texts.get(name)}, {"fake": name}
    captioned = all(texts.get(name) is not None for name in fakes)
    given = frozenset({"reference"} if real is not None else ()) | ({"captions"} if captioned else set())
    statuses = {e.name: why for e in evaluators if (why := lacking(e, given)) is not None} | dict(absent or {})
    possible = [evaluator for evaluator in evaluators if evaluator.name not in statuses]
    if not possible:
        metrics: dict[str, list[str]] = {}
        for name, status in statuses.items():
            metrics.setdefault(status.removeprefix("absent: "), []).append(name)
        why = "; ".join(f"{', '.join(names)}: {status}" for status, names in metrics.items())
        raise UserError(f"no metric can be computed: {why}")
    needing = [evaluator for evaluator in possible if "reference" in evaluator.needs]
    sides = {name: Side.of(folder, possible, texts.get(name)) for name, folder in fakes.items()}
    several = len(fakes) > 1
    if several:
        check_pairs(sides)
    fake_sides, found = dict(sides), {}
    if needing and is_saved(real):
        whole = real_excerpt(excerpt, real_which, real_transform)
        found["real"] = SavedReference.read(str(real)).described(str(real), needing, whole)
    elif needing and real is not None:
        sides["real"] = Side.of(Path(real), needing, None)
    with Decoders(workers, timeout) as decoders:
        for name, side in sides.items():
            own = real_excerpt(excerpt, real_which, real_transform) if name == "real" else excerpt
            found[name] = describe_files(
                side.files, side.evaluators, own, captions=side.captions, cache=cache,
                decoders=decoders, on_clip=_counted(on_clip, name, len(side.files)),
            )  # fmt: skip
    theirs = found.get("real", Described())
    check_rates(excerpt, {rate: file for side in found.values() for rate, file in side.rates.items()})
    if several and (same_length or excerpt.frames is None):
        check_lengths(fake_sides, found)
    if excerpt.frames is None:
        taken, refused = each_whole(possible, found, excerpt)
        by_name, statuses = {each.name: each for each in taken}, statuses | refused
        evaluators = [by_name.get(evaluator.name, evaluator) for evaluator in evaluators]
        sides |= {name: replace(sides[name], evaluators=taken) for name in fakes}
    check_sizes(needing, {size: file for side in found.values() for size, file in side.sizes.items()})
    empty = Row(
        ablation=FOLDERS if several else None, cell="", method="", metric="", value=None, ci_low=None, ci_high=None,
        n=0, protocol=protocol, protocol_hash=protocol_hash, status=UNSCORED,
    )  # fmt: skip
    rows, valued, groups = [], [], {}
    for evaluator in evaluators:
        key = (hashes or {}).get(evaluator.name, protocol_hash)
        key = digest_of([key, theirs.digest])[:12] if evaluator in needing else key
        for name, folder in fakes.items():
            row = replace(
                empty, cell=labels[name], method=folder.name, metric=evaluator.name, protocol_hash=key,
                higher_is_better=evaluator.higher_is_better, status=statuses.get(evaluator.name, UNSCORED),
                features=features_of(evaluator),
            )  # fmt: skip
            groups[labels[name]] = prompts = prompts_of(sides[name], found[name].files)
            unscored = row.status == UNSCORED
            rows.append(_scored(row, evaluator, found, name, prompts, bad_files, resamples) if unscored else row)
            if rows[-1].status == OK:
                rows[-1] = replace(rows[-1], excerpt=_excerpts(evaluator in needing, found, name, excerpt, real_which))
                its = found[name].rows[evaluator.digest]
                valued.append((evaluator, rows[-1], its, theirs.rows.get(evaluator.digest)))
    rows += [
        replace(empty, cell=labels[name], method=folder.name, metric=metric, status=status)
        for metric, status in (absent or {}).items()
        for name, folder in fakes.items()
    ]
    there = {(row.cell, row.metric) for _, row, _, _ in valued}
    comparisons, lines = compare_folders(sides, found, there, resamples=resamples) if several else ([], [])
    curves = [c for item in valued if (c := _curve(*item, groups[item[1].cell], lines)) is not None]
    words = [text for name in fakes for text in (sides[name].captions or {}).values()]
    notes = (
        *features_lines(rows), *_excerpt_lines(rows), *prompts_lines(rows), *notes_of(found),
        *readers_of(found, excerpt.reader), *_oddities(found, excerpt),
        *_other_sizes([e for e in possible if e not in needing], {name: found[name] for name in fakes}),
        *caption_doubts([evaluator for evaluator, *_ in valued], words), *lines, *caveat_lines(comparisons),
        *doubts(Judged(evaluator, ours, its, groups[row.cell]) for evaluator, row, ours, its in valued),
    )  # fmt: skip
    return Results(
        run=None,
        rows=rows,
        comparisons=comparisons,
        curves=curves,
        notes=notes,
        bad_files=bad_files_of(found),
    )


def real_excerpt(excerpt: Excerpt, which: str | None, transform: Mapping[str, Any] | None) -> Excerpt:
    """The excerpt of real videos, which a card may cut and scale otherwise."""
    first = excerpt.transform or tuple((transform or {}).items())
    return replace(excerpt, which=which or excerpt.which, transform=first)


def _counted(on_clip: Callable[[str, int, int], None] | None, name: str, total: int) -> Callable[[int], None]:
    return lambda done: on_clip(name, done, total) if on_clip is not None else None


def _excerpts(
    against: bool, found: Mapping[str, Described], name: str, excerpt: Excerpt, real_which: str | None
) -> str:
    """Which part of the files a row is of; of the real ones where theirs is said otherwise."""
    ours = excerpt.said(found[name].lengths)
    theirs = replace(excerpt, which=real_which or excerpt.which).said(found["real"].lengths) if against else ours
    return ours if theirs == ours else f"{ours}; real: {theirs}"


def _curve(
    evaluator: Evaluator,
    row: Row,
    ours: np.ndarray,
    theirs: np.ndarray | None,
    prompts: Sequence[str] | None,
    lines: list[str],
) -> Curve | None:
    found = None
    with noted(lines, f"{row.metric}: {row.cell} has no curve"):
        found = banded_curve(evaluator, ours, theirs, prompts)
    return None if found is None else Curve(ablation=row.ablation, cell=row.cell, metric=row.metric, **found)


def _scored(
    row: Row,
    evaluator: Evaluator,
    found: Mapping[str, Described],
    fake: str,
    prompts: Sequence[str] | None,
    bad_files: float,
    resamples: int,
) -> Row:
    wanted = {fake, "real"} if "reference" in evaluator.needs else {fake}
    sides = {name: side for name, side in found.items() if name in wanted}
    for name, side in sides.items():
        if (withheld := side.withheld(bad_files, name)) is not None:
            return replace(row, status=withheld)
        if len(side.files) < 2:
            return replace(row, status=f"absent: {counted(len(side.files), f'{name} clip')}; at least 2 are needed")
        if evaluator.digest in side.failed:
            return replace(row, status=side.failed[evaluator.digest])
    first = optional(evaluator, EvaluatorExtras, "first")
    if first is not None and len(sides[fake].files) > first:
        why = f"the protocol takes the first {first} prompts, which files do not name; score a folder of those"
        return replace(row, status=f"absent: {why}")
    try:
        reference = sides["real"].rows[evaluator.digest] if "real" in sides else None
        ours = sides[fake].rows[evaluator.digest]
        value = bootstrap_interval(evaluator, ours, reference, groups=prompts, resamples=resamples)
    except Exception as error:
        return replace(row, status=reason(error))
    return replace(
        row, status=OK, value=value.value, ci_low=value.low, ci_high=value.high, n=value.n, prompts=value.prompts
    )


def _excerpt_lines(rows: Sequence[Row]) -> list[str]:
    """Which part of the files the rows are of, a line for each."""
    return [f"clips: {said}" for said in dict.fromkeys(row.excerpt for row in rows if row.excerpt)]


def bad_files_of(sides: Mapping[str, Described]) -> tuple[BadFile, ...]:
    """Every file that was left out, and why."""
    return tuple(
        BadFile(side=name, file=str(path), reason=why) for name, side in sides.items() for path, why in side.bad.items()
    )


def _oddities(sides: Mapping[str, Described], excerpt: Excerpt) -> list[str]:
    """What is likely a mistake, though it has a value."""
    notes = []
    for a, b in combinations(sides, 2):
        if sides[a].files and sides[a].digest == sides[b].digest:
            below = "; unbiased metrics, such as KVD, then come out below 0" if "real" in (a, b) else ""
            notes.append(f"{b} and {a} hold the same clips{below}")
    if excerpt.fps is None and len({rate for side in sides.values() for rate in side.rates}) > 1:
        notes.append(f"{_rates(sides)}, each at its own rate; --fps takes all at one")
    for name, side in sides.items():
        slowest = min(side.rates, default=None)
        if excerpt.fps and slowest and slowest < 0.99 * excerpt.fps:
            at = f"{side.rates[slowest]} has {slowest:g} fps and is compared at {excerpt.fps:g}"
            notes.append(f"{name}: {at}, so its frames come more than once")
    return notes


def _rates(sides: Mapping[str, Described]) -> str:
    """Frames a second of each side, with the first file of each rate where a side has several."""
    shown = {name: [f"{rate:g} fps ({file.name})" for rate, file in side.rates.items()] for name, side in sides.items()}
    alone = {name: f"{next(iter(side.rates)):g} fps" for name, side in sides.items() if len(side.rates) == 1}
    return ", ".join(
        f"{name} has {alone.get(name) or ' and '.join(rates[:4])}" for name, rates in shown.items() if rates
    )


def _other_sizes(evaluators: Sequence[Evaluator], sides: Mapping[str, Described]) -> list[str]:
    """Metrics that see frames of other sizes in one folder than in the other, though each has its value."""
    sizes = {size: file for side in sides.values() for size, file in side.sizes.items()}
    lines: dict[str, list[str]] = {}
    for evaluator in evaluators:
        try:
            check_sizes([evaluator], sizes)
        except UserError as error:
            lines.setdefault(str(error), []).append(evaluator.name)
    return [f"{', '.join(names)}: {why}" for why, names in lines.items()]


def notes_of(sides: Mapping[str, Described]) -> tuple[str, ...]:
    """Which files were left out and why."""
    notes = []
    for name, side in sides.items():
        if side.bad:
            shown = "; ".join(list(side.bad.values())[:5])
            more = f" and {len(side.bad) - 5} more" if len(side.bad) > 5 else ""
            were = f"{counted(len(side.bad), f'{name} file')} {'was' if len(side.bad) == 1 else 'were'}"
            notes.append(f"{were} left out: {shown}{more}")
    return (*notes, *dict.fromkeys(side.unkept for side in sides.values() if side.unkept))


def readers_of(sides: Mapping[str, Described], asked: str) -> tuple[str, ...]:
    """Which reader read how many files, where that is not all by the one that was ``asked`` for."""
    names = {"decord": "PyAV, decord agreeing", "pyav": "PyAV", "pillow": "Pillow", "": asked}
    return tuple(
        f"{name}: "
        + ", ".join(f"{counted(count, 'file')} read by {names[reader]}" for reader, count in side.readers.most_common())
        + " (docs/readers.md)"
        for name, side in sides.items()
        if set(side.readers) - {asked, ""}
    )
