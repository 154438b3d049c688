"""Describing clips on the sweep's executor: each clip is read and each request rendered once, whatever the metrics.

A task is some clips of a cell, or of the reference, under all metrics that lack their rows; its result are the rows,
which whoever asked for them keeps in the run folder. What a metric of a whole set needs for intervals and tests is a
task of its own: :class:`~artv_eval.metrics.statistics.SetValue` of a cell's rows.

Shape legend: n clips, d numbers a row.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from artv.errors import WorkFailed
from artv_eval.api import ClipSet, Executor, FailedTask, GeneratedClip, Task
from artv_eval.files.spool import spooled
from artv_eval.memory import give_back
from artv_eval.metrics.base import BATCH, described
from artv_eval.metrics.statistics import SetValue, set_value
from artv_eval.plugins.digests import digest
from artv_eval.plugins.recipe import build, recipe_from
from artv_eval.protocols.sources import Lazy
from artv_eval.results.clips import in_parts
from artv_eval.results.row_cache import SAVE_SECONDS
from artv_eval.results.rows import Failure, reason
from artv_eval.results.store import RunStore
from artv_eval.sweep.work import SweepWork

CLIPS, FRAMES = 2 * BATCH, 1024  # of a task at most, so that a few long clips are work for several processes
HELD = 2**28  # bytes of frames that a task keeps in memory, so that all its metrics see them


@dataclass(frozen=True, kw_only=True)
class Group:
    """Clips whose rows are kept together.

    Args:
        name: folder of the rows: a cell's id, or the reference set's.
        keys: one a clip: changes when what is described changes.
        positions: of the clips in the protocol's requests, or in its reference.
        metrics: numbers of the metrics that need rows of them.
    """

    name: str
    keys: Sequence[str]
    positions: Sequence[int]
    metrics: Sequence[int]


class ScoringWork(SweepWork):
    """Does the tasks of this module.

    Args:
        recipes: the metrics by name and settings, as :meth:`artv_eval.plugins.recipe.Recipe.named` gives them.
        evaluators: made of them, for this process; a number is the same metric in both.
        sweep: as of :class:`SweepWork`.
    """

    here = ("evaluators",)

    def __init__(self, *, recipes: Sequence[dict[str, Any]], evaluators: Mapping[int, Any], **sweep: Any) -> None:
        super().__init__(**sweep)
        self.recipes, self.evaluators = list(recipes), dict(evaluators)

    def __call__(self, task: Task) -> Any:
        """Rows by metric, or why there are none; or a SetValue. A damaged clip and a full disk are raised."""
        if "rows" in task.method:
            return self._set_value(**task.method)
        clips = each_once(self._clips(task), len(task.method["metrics"]))
        found = {number: self._rows(number, clips) for number in task.method["metrics"]}
        if in_parts(clips.requests[0].num_frames):
            give_back()
        return found

    again = __call__  # of a task that another worker is slow with: nothing is written here

    def _clips(self, task: Task) -> ClipSet:
        if task.method["reference"]:
            return self.card.reference().at(task.indices)
        return self.store.clips(task.cell, Lazy(len(task.indices), lambda i: self.requests[task.indices[i]]))

    def _rows(self, number: int, clips: ClipSet) -> np.ndarray | str:
        try:
            return described(self.evaluator(number), clips)
        except (WorkFailed, OSError):  # of the run folder, not of the metric
            raise
        except Exception as error:
            return reason(error)

    def _set_value(
        self, metric: int, rows: np.ndarray, reference: np.ndarray | None, prompts: Sequence[int]
    ) -> SetValue | str:
        try:
            return set_value(self.evaluator(metric), rows, reference, groups=prompts)
        except Exception as error:
            return reason(error)

    def evaluator(self, number: int) -> Any:
        """The metric of this number, made once a process."""
        self.evaluators = self.evaluators or {}
        if number not in self.evaluators:
            made = recipe_from(self.manager, "metrics", self.recipes[number])
            self.evaluators[number] = build(self.manager, made, self.runtime)
        return self.evaluators[number]


def each_once(clips: ClipSet, times: int = 2) -> ClipSet:
    """The same few clips and requests, each made once however often it is asked for.

    Clips are in memory while it has room. Long ones that are looked at several ``times`` lie raw in temporary files,
    for unpacking them takes longer than most metrics do.
    """
    request = lru_cache(maxsize=None)(clips.requests.__getitem__)
    frames = request(0)
    size = 3 * frames.num_frames * frames.height * frames.width
    apart = in_parts(frames.num_frames) and times > 1

    def read(i: int) -> GeneratedClip:
        clip = clips._load(i)  # clips[i] asks for a request
        return replace(clip, frames=spooled(clip.frames)) if apart else clip

    load = lru_cache(maxsize=len(clips) if apart or len(clips) * size < HELD else 1)(read)
    once = ClipSet(Lazy(len(clips), request), load, clips.origin)
    once.shared = {}
    return once


class Rows:
    """The rows of one group, those of the run folder to begin with.

    Args:
        evaluators: number → metric; those of one digest share their rows.
    """

    def __init__(self, store: RunStore, group: Group, evaluators: Mapping[int, Any]) -> None:
        self.group, self.cache = group, store.rows(group.name)
        self.files = {number: digest(evaluators[number].digest)[:16] for number in group.metrics}
        self.kept = {file: self.cache.load(file) for file in dict.fromkeys(self.files.values())}
        self.failed: dict[str, str] = {}
        self.changed: set[str] = set()
        self.place = {position: key for position, key in zip(group.positions, group.keys, strict=True)}

    def tasks(self, *, reference: bool, frames: int) -> list[Task]:
        """Tasks for the clips of so many ``frames`` that lack rows; one metric for each digest describes them."""
        count = max(1, min(CLIPS, FRAMES // frames))
        number_of = {file: number for number, file in reversed(self.files.items())}
        wanted: dict[tuple[int, ...], list[int]] = {}
        for position, key in self.place.items():
            lacking = tuple(number_of[file] for file, rows in self.kept.items() if key not in rows)
            if lacking:
                wanted.setdefault(lacking, []).append(position)
        return [
            Task(
                cell=self.group.name,
                method={"metrics": numbers, "reference": reference},
                indices=tuple(positions[start : start + count]),
            )
            for numbers, positions in wanted.items()
            for start in range(0, len(positions), count)
        ]

    def take(self, task: Task, result: Any) -> None:
        """Keeps what a task gave."""
        if isinstance(result, FailedTask):
            result = dict.fromkeys(task.method["metrics"], Failure.of(result))
        for number, rows in result.items():
            file = self.files[number]
            if isinstance(rows, str):
                self.failed.setdefault(file, rows)
            else:
                self.kept[file] |= {self.place[i]: row for i, row in zip(task.indices, rows, strict=True)}
                self.changed.add(file)

    def save(self) -> None:
        """Writes what is new."""
        for file in self.changed:
            self.cache.save(file, self.kept[file])
        self.changed.clear()

    def of(self, number: int) -> np.ndarray | str:
        """Rows (n, d) under a metric, or why there are none."""
        file = self.files[number]
        if file in self.failed:
            return self.failed[file]
        return np.stack([self.kept[file][key] for key in self.group.keys])


class Description:
    """Describes what has no rows.

    Args:
        real: name of the group of reference clips.
    """

    def __init__(self, work: ScoringWork, groups: Sequence[Group], real: str) -> None:
        self.work = work
        self.rows = {group.name: Rows(work.store, group, work.evaluators) for group in groups}
        frames = work.requests[0].num_frames
        self.tasks = {name: rows.tasks(reference=name == real, frames=frames) for name, rows in self.rows.items()}

    @property
    def clips(self) -> int:
        """How many have rows to be made."""
        return sum(len(task.indices) for tasks in self.tasks.values() for task in tasks)

    def run(self, executor: Executor, on_task: Callable[[Task], object]) -> Iterator[tuple[str, Rows]]:
        """Yields each group when it is whole. What was made is kept, whatever stops it."""
        left = {name: len(tasks) for name, tasks in self.tasks.items()}
        yield from ((name, self.rows[name]) for name, number in left.items() if not number)
        saved = time.monotonic()
        try:
            for task, result in executor.run(self.work, [task for tasks in self.tasks.values() for task in tasks]):
                rows = self.rows[task.cell]
                rows.take(task, result)
                left[task.cell] -= 1
                on_task(task)
                if not left[task.cell] or time.monotonic() - saved > SAVE_SECONDS:
                    rows.save()
                    saved = time.monotonic()
                if not left[task.cell]:
                    yield task.cell, rows
        finally:
            for rows in self.rows.values():
                rows.save()
