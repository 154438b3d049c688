"""The protocol's real clips that metrics of a set compare with: rendered or loaded clips, or the user's files.

Shape legend: m reference clips, d numbers a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from artv.errors import WorkFailed, counted
from artv.progress import progress_bar
from artv_eval.extras import ProtocolExtras, optional
from artv_eval.files.decoding import Excerpt
from artv_eval.files.describe import Described, check_sizes, describe_files
from artv_eval.results.rows import OK, reason
from artv_eval.results.store import RunStore
from artv_eval.sweep.describe import Group
from artv_eval.sweep.prepare import Prepared
from artv_eval.sweep.score_cells import Metric


@dataclass
class References:
    """By number of the metric: its rows (m, d), as far as they are there.

    Args:
        clips: what is still to be described as the cells' clips are; None where there is nothing.
        files: what was read of files, with which were left out.
    """

    rows: dict[int, np.ndarray] = field(default_factory=dict)
    clips: Group | None = None
    files: dict[str, Described] = field(default_factory=dict)


def references_of(prepared: Prepared, store: RunStore, metrics: list[Metric]) -> References:
    """Reads files; a metric whose reference cannot be had is marked so in ``metrics``."""
    found = References()
    needed = [i for i, m in enumerate(metrics) if m.status == OK and "reference" in m.evaluator.needs]
    for number in needed:
        try:
            given = optional(prepared.card, ProtocolExtras, "reference_files")()
            if given is None:
                clips = len(prepared.card.reference())
                same = list(found.clips.metrics) if found.clips else []
                name = f"reference-{prepared.protocol.key}"
                keys = [str(i) for i in range(clips)]
                found.clips = Group(name=name, keys=keys, positions=range(clips), metrics=[*same, number])
            else:
                paths, excerpt = given
                rows = _of_files(prepared, store, metrics[number], paths, excerpt, found.files)
                if isinstance(rows, str):
                    metrics[number] = replace(metrics[number], status=rows)
                else:
                    found.rows[number] = rows
        except (WorkFailed, OSError):
            raise
        except Exception as error:
            metrics[number] = replace(metrics[number], status=reason(error))
    return found


def _of_files(
    prepared: Prepared,
    store: RunStore,
    metric: Metric,
    files: Sequence[Path],
    excerpt: Excerpt,
    described: dict[str, Described],
) -> np.ndarray | str:
    """Rows of video files, decoded by processes of their own, bad ones named and left out; or why there are none."""
    cache = store.root / "features" / f"reference-{prepared.protocol.key}"
    with progress_bar(f"reference of {metric.name}", total=len(files)) as bar:
        found = describe_files(files, [metric.evaluator], excerpt, cache=cache, on_clip=bar.update)
    described["reference"] = found  # the same files for every metric
    first = prepared.requests[0]
    check_sizes([metric.evaluator], {**found.sizes, (first.height, first.width): Path("a generated clip")})
    status = found.withheld(optional(prepared.card, ProtocolExtras, "bad_files"), "reference")
    if status is None and len(found.files) < 2:
        status = f"absent: {counted(len(found.files), 'reference clip')}; at least 2 are needed"
    return status or found.failed.get(metric.evaluator.digest) or found.rows[metric.evaluator.digest]
