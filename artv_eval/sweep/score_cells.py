"""Rows to values: describe clips once, keep the rows, and let statistics resample them.

Shape legend: n clips, d numbers a row.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import UserError, WorkFailed
from artv_eval.api import ClipRequest, ClipSet, EvaluatorExtras, optional
from artv_eval.files.decoding import Window
from artv_eval.files.describe import Described, describe_files
from artv_eval.metrics import statistics
from artv_eval.metrics.base import curve_of
from artv_eval.metrics.statistics import bootstrap_interval, holm, per_clip
from artv_eval.results.rows import OK, ClipValues, Comparison, Curve, Flaw, Row, reason
from artv_eval.results.store import RunStore
from artv_eval.sweep.plan import READY, Cell, digest

CHUNK = 64  # clips described at once
SAVE_SECONDS = 5.0  # between two writes of the rows: what an interruption can cost
FLAWS = {"copy-first": "no motion", "wrong-prompt": "the wrong text"}
REAL = "real"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Rows of one cell under one metric; ``status`` says why there are none.

    ``positions``: the request that each row belongs to; the ``failed`` ones, whose clip was not to be made, have none.
    """

    cell: Cell
    evaluator: Any
    rows: np.ndarray | None
    reference: np.ndarray | None
    positions: Sequence[int] = ()
    failed: int = 0
    status: str = OK


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of the run: its evaluator, or why it is absent."""

    name: str
    evaluator: Any = None
    status: str = OK


def describe_cached(
    store: RunStore, group: str, keys: Sequence[str], evaluator: Any, subset: Callable[[list[int]], ClipSet]
) -> np.ndarray:
    """Rows (n, d) of the items with ``keys``, of which only those without a kept row are described.

    Args:
        group: folder of the kept rows: a cell's id, or the reference set's.
        keys: one an item: changes when what is described changes.
        subset: positions → their clips.
    """
    file = digest(evaluator.digest)[:16]
    kept = store.load_rows(group, file)
    missing = [i for i, key in enumerate(keys) if key not in kept]
    saved = time.monotonic()
    for start in range(0, len(missing), CHUNK):
        part = missing[start : start + CHUNK]
        rows = np.asarray(evaluator.describe(subset(part)))
        if rows.ndim != 2 or len(rows) != len(part):
            raise UserError(f"metric {evaluator.name!r} described {len(part)} clips by {rows.shape}; it must be (n, d)")
        kept |= {keys[i]: row for i, row in zip(part, rows, strict=True)}
        if time.monotonic() - saved > SAVE_SECONDS or start + CHUNK >= len(missing):
            store.save_rows(group, file, kept)
            saved = time.monotonic()
    return np.stack([kept[key] for key in keys])


def describe_cell(
    store: RunStore,
    cell: Cell,
    requests: Sequence[ClipRequest],
    indices: Sequence[int],
    positions: Sequence[int],
    evaluator: Any,
) -> np.ndarray:
    """Rows (n, d) of a cell's clips at ``positions``. ``indices``: of all requests: none is made only to be counted."""
    keys = [f"{indices[i]}:{store.fingerprint(cell.id, indices[i])}" for i in positions]
    return describe_cached(
        store, cell.id, keys, evaluator, lambda part: store.clips(cell.id, [requests[positions[i]] for i in part])
    )


def describe_reference(store: RunStore, protocol_key: str, clips: ClipSet, evaluator: Any) -> np.ndarray:
    """Rows (m, d) of the protocol's reference clips, kept under the protocol's key."""
    keys = [str(i) for i in range(len(clips))]
    return describe_cached(store, f"reference-{protocol_key}", keys, evaluator, clips.at)


def describe_reference_files(
    store: RunStore,
    protocol_key: str,
    files: Sequence[Path],
    window: Window,
    evaluator: Any,
    on_clip: Callable[[int], None] | None = None,
) -> Described:
    """The same where the clips are video files: decoded by processes of their own, bad ones named and left out."""
    cache = store.root / "features" / f"reference-{protocol_key}"
    return describe_files(files, [evaluator], window, cache=cache, on_clip=on_clip)


def score_cell(
    store: RunStore,
    cell: Cell,
    requests: Sequence[ClipRequest],
    indices: Sequence[int],
    metric: Metric,
    reference: np.ndarray | None,
) -> Scored:
    """The rows of a cell under a metric, or the reason why there are none."""
    if cell.status != READY or metric.status != OK:
        return _absent(cell, metric, cell.status if cell.status != READY else metric.status)
    failed = store.failures(cell.id, indices)
    positions = [position for position, index in enumerate(indices) if index not in failed]
    if not positions:
        return _absent(cell, metric, f"failed: no clip came out: {failed[indices[0]]}")
    lacking = metric.evaluator.needs - _provided(store, cell, requests[positions[0]], reference)
    if lacking:
        return _absent(cell, metric, f"absent: this cell has no {' and no '.join(sorted(lacking))}")
    try:
        rows = describe_cell(store, cell, requests, indices, positions, metric.evaluator)
    except (WorkFailed, OSError):  # of the run folder, not of the metric
        raise
    except Exception as error:
        return _absent(cell, metric, reason(error))
    return Scored(
        cell=cell,
        evaluator=metric.evaluator,
        rows=rows,
        reference=reference,
        positions=positions,
        failed=len(failed),
    )


def _absent(cell: Cell, metric: Metric, status: str) -> Scored:
    evaluator = metric.evaluator if metric.evaluator is not None else _Missing(metric.name)
    return Scored(cell=cell, evaluator=evaluator, rows=None, reference=None, status=status)


@dataclass(frozen=True)
class _Missing:
    """Stands for the evaluator of an absent metric in its rows."""

    name: str
    higher_is_better: bool | None = None


def _provided(store: RunStore, cell: Cell, first: ClipRequest, reference: np.ndarray | None) -> frozenset[str]:
    """What ``needs`` may ask for, judged by the first clip."""
    clip = store.load_clip(cell.id, first.index)
    there = {
        "captions": bool(first.prompt),
        "first_frame": first.first_frame is not None,
        "real": first.real is not None,
        "labels": bool(first.labels),
        "reference": reference is not None,
        "mask": clip.mask is not None,
        "seconds": clip.seconds is not None,
    }
    return frozenset(name for name, has in there.items() if has)


def failed_clips(store: RunStore, cells: Sequence[Cell], indices: Sequence[int]) -> list[str]:
    """A line for each cell of which clips failed."""
    lines = []
    for cell in cells:
        failed = store.failures(cell.id, indices) if cell.status == READY else {}
        for index, why in list(failed.items())[:1]:
            lines.append(
                f"{cell.name}: {len(failed)} of {len(indices)} clips failed (clip {index}: {why}); its values are over "
                "the others, its differences over the clips that both cells have"
            )
    return lines


def row_of(scored: Scored, protocol: str, protocol_hash: str) -> Row:
    """The row of the table; a value that cannot be computed is a status, not a crash."""
    cell, found, status = scored.cell, None, scored.status
    if scored.rows is not None:
        try:
            found = bootstrap_interval(scored.evaluator, scored.rows, scored.reference)
        except Exception as error:
            status = reason(error)
    return Row(
        ablation=cell.ablation,
        cell=cell.name,
        method=cell.method.name if cell.method else cell.label,
        metric=scored.evaluator.name,
        value=found.value if found else None,
        ci_low=found.low if found and not _is_cost(scored) else None,
        ci_high=found.high if found and not _is_cost(scored) else None,
        n=found.n if found else 0,
        protocol=protocol,
        protocol_hash=protocol_hash,
        status=status,
        higher_is_better=scored.evaluator.higher_is_better,
        sanity=cell.sanity,
        failed=scored.failed,
    )


def _is_cost(scored: Scored) -> bool:
    """A cost says how clips were made, not what they are: it has no interval over clips and is not tested."""
    return bool(optional(scored.evaluator, EvaluatorExtras, "is_cost"))


def curves_of(scored: Sequence[Scored]) -> list[Curve]:
    """The curves over the frame index, of the metrics that have one."""
    found = []
    for item in scored:
        curve = None if item.rows is None else curve_of(item.evaluator, item.rows, item.reference)
        if curve is not None:
            found.append(
                Curve(ablation=item.cell.ablation, cell=item.cell.name, metric=item.evaluator.name, values=curve)
            )
    return found


def per_clip_of(scored: Sequence[Scored], indices: Sequence[int]) -> list[ClipValues]:
    """The values of single clips, of the metrics that have them; ``indices``: of all requests."""
    found = []
    for item in scored:
        values = None if item.rows is None else per_clip(item.evaluator, item.rows)
        if values is not None:
            at = {indices[position]: float(value) for position, value in zip(item.positions, values, strict=True)}
            found.append(
                ClipValues(ablation=item.cell.ablation, cell=item.cell.name, metric=item.evaluator.name, values=at)
            )
    return found


def pairs(scored: Sequence[Scored]) -> list[tuple[Scored, Scored]]:
    """Per ablation and metric: the first cell that is no sanity cell, with every other one."""
    groups: dict[tuple[str, str], list[Scored]] = {}
    for item in scored:
        if item.rows is not None and not item.cell.sanity:
            groups.setdefault((item.cell.ablation, item.evaluator.name), []).append(item)
    return [(group[0], other) for group in groups.values() for other in group[1:]]


def comparisons_of(scored: Sequence[Scored]) -> tuple[list[Comparison], list[str]]:
    """Paired differences on shared prompts and seeds, their p-values corrected over all of them (Holm 1979).

    Also a line for each pair that could not be compared.
    """
    tested: list[tuple[Scored, Scored, statistics.Comparison]] = []
    untested: list[str] = []
    for a, b in pairs([item for item in scored if not _is_cost(item)]):
        try:
            tested.append((a, b, _paired(a, b)))
        except Exception as error:
            untested.append(f"{a.evaluator.name}: {a.cell.name} and {b.cell.name} are not compared: {reason(error)}")
    corrected = holm([result.p_value for _, _, result in tested])
    found = [
        Comparison(
            ablation=a.cell.ablation,
            metric=a.evaluator.name,
            a=a.cell.name,
            b=b.cell.name,
            difference=result.difference,
            ci_low=result.low,
            ci_high=result.high,
            p_value=result.p_value,
            n=result.n,
            p_holm=p_holm,
            standard_error=result.standard_error,
        )
        for (a, b, result), p_holm in zip(tested, corrected, strict=True)
    ]
    return found, untested


def _paired(a: Scored, b: Scored) -> statistics.Comparison:
    """Over the clips that both cells have."""
    assert a.rows is not None and b.rows is not None
    both = sorted(set(a.positions) & set(b.positions))
    at_a, at_b = np.searchsorted(a.positions, both), np.searchsorted(b.positions, both)
    return statistics.paired_test(a.evaluator, a.rows[at_a], b.rows[at_b], a.reference)


def flaws_of(rows: Sequence[Row]) -> list[Flaw]:
    """For each metric and each sanity method: does the metric tell it from the real clips, and from the first cell?

    A metric that cannot tell a model from a still or from the wrong text says nothing about the model.
    """
    found: dict[tuple[str, str, str], Flaw] = {}
    for row in rows:
        if row.method not in FLAWS or row.value is None or row.ci_low is None:
            continue
        same = [other for other in rows if other.metric == row.metric and other.ablation == row.ablation]
        first = [other for other in same if not other.sanity][:1]
        for other in (*(other for other in same if other.method == REAL), *first):
            if other.value is not None:
                found[row.metric, row.method, other.cell] = _flaw(row, other)
    return list(found.values())


def _flaw(row: Row, other: Row) -> Flaw:
    assert row.ci_low is not None and row.ci_high is not None and other.ci_low is not None and other.ci_high is not None
    apart = row.ci_low > other.ci_high or other.ci_low > row.ci_high
    answer = "yes (intervals do not overlap)" if apart else f"no (intervals overlap at n = {row.n})"
    text = f"{row.metric} separates {row.method} ({FLAWS[row.method]}) from {other.cell}: {answer}"
    return Flaw(metric=row.metric, flaw=row.method, other=other.cell, seen=apart, text=text)
