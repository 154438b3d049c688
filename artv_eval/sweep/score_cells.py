"""Rows to values: describe clips once, keep the rows, and let statistics resample them.

Shape legend: n clips, d numbers a row.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artv.errors import WorkFailed
from artv_eval.api import ClipRequest, ClipSet
from artv_eval.files.decoding import Excerpt
from artv_eval.files.describe import Described, describe_files
from artv_eval.metrics.base import described
from artv_eval.plugins.digests import digest
from artv_eval.results.row_cache import SAVE_SECONDS
from artv_eval.results.rows import OK, reason
from artv_eval.results.store import RunStore
from artv_eval.sweep.plan import READY, Cell

CHUNK = 64  # clips described at once


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
    kept = store.rows(group).load(file)
    missing = [i for i, key in enumerate(keys) if key not in kept]
    saved = time.monotonic()
    for start in range(0, len(missing), CHUNK):
        part = missing[start : start + CHUNK]
        rows = described(evaluator, subset(part))
        kept |= {keys[i]: row for i, row in zip(part, rows, strict=True)}
        if time.monotonic() - saved > SAVE_SECONDS or start + CHUNK >= len(missing):
            store.rows(group).save(file, kept)
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
    excerpt: Excerpt,
    evaluator: Any,
    on_clip: Callable[[int], None] | None = None,
) -> Described:
    """The same where the clips are video files: decoded by processes of their own, bad ones named and left out."""
    cache = store.root / "features" / f"reference-{protocol_key}"
    return describe_files(files, [evaluator], excerpt, cache=cache, on_clip=on_clip)


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
                f"{cell.title}: {len(failed)} of {len(indices)} clips failed (clip {index}: {why}); its values are "
                "over the others, its differences over the clips that both cells have"
            )
    return lines
