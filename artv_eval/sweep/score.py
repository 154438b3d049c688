"""From clips to results: describe, measure, compare. What is found is told after every cell."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from artv.progress import progress_bar
from artv_eval.api import Task
from artv_eval.extras import EvaluatorExtras, ProtocolExtras, optional
from artv_eval.files.score import bad_files_of, notes_of
from artv_eval.metrics.doubts import Judged, caption_doubts, doubts
from artv_eval.metrics.statistics import SetValue, per_clip
from artv_eval.plugins.digests import digest
from artv_eval.plugins.recipe import Recipe
from artv_eval.results.rows import OK, Failure, Results, caveat_lines, features_lines, prompts_lines
from artv_eval.results.store import RunStore
from artv_eval.sweep.describe import Description, Group, Rows, ScoringWork
from artv_eval.sweep.metric_recipes import Conventions, changed_convention
from artv_eval.sweep.over_seeds import few_seeds, lost_seeds, replicates, worth_in_training
from artv_eval.sweep.plan import Cell
from artv_eval.sweep.prepare import Prepared
from artv_eval.sweep.provenance import mixed_devices, mixed_threads
from artv_eval.sweep.ran import lines as what_ran
from artv_eval.sweep.ran import same_clips
from artv_eval.sweep.references import references_of
from artv_eval.sweep.score_cells import CellClips, Scored, failed_clips, unmade_clips
from artv_eval.sweep.summaries import comparisons_of, curves_of, flaws_of, per_clip_of, row_of, spreads_of

PARTS = 2.0
"""Seconds at least between two looks at what is there so far."""
SHARE = 0.05
"""Share of the time that may go into them: an executor without a thread for it gives nobody a task meanwhile."""


class Scoring:
    """Scores the clips of a run.

    Args:
        on_part: is given the results of what is there so far, cell by cell.
    """

    def __init__(
        self,
        prepared: Prepared,
        store: RunStore,
        cells: Sequence[Cell],
        on_part: Callable[[Results], object] = lambda results: None,
    ) -> None:
        self.prepared, self.store, self.on_part = prepared, store, on_part
        self.cells = [CellClips.of(store, cell, prepared.requests, prepared.indices) for cell in cells]
        self.metrics = list(prepared.metrics)
        self.references = references_of(prepared, store, self.metrics)
        self.seeds_per_prompt = optional(prepared.card, ProtocolExtras, "seeds_per_prompt")
        self.scored: dict[tuple[int, int], Scored] = {}
        """(number of the metric, number of the cell) → what is there so far."""
        self._told, self._took = time.monotonic(), 0.0

    def results(self) -> Results:
        """Describes and measures, on the executor of the sweep."""
        work = self._work()
        self.store.forget_metric_faults()
        self._describe(work)
        self._measure(work)
        results, valued = self._of(self._in_order())
        said = optional(self.prepared.card, ProtocolExtras, "conventions")()
        notes = [
            *([said] if said else []),
            *what_ran(self._all),
            *features_lines(results.rows),
            *prompts_lines(results.rows),
        ]
        notes += unmade_clips(self.store, self._all, self.prepared.indices)
        made = [metric.evaluator for metric in self.metrics if metric.status == OK]
        if any(optional(evaluator, EvaluatorExtras, "is_cost") for evaluator in made):
            notes += mixed_threads(self.store, self._all, self.prepared.indices)
        notes += same_clips(self.store, self._all, self.prepared.indices)
        notes += mixed_devices(self.store, self._all, self.prepared.indices)
        notes += [*published(self.prepared), *notes_of(self.references.files), *results.notes]
        return replace(results, notes=[*notes, *self._doubts(valued)], bad_files=bad_files_of(self.references.files))

    @property
    def _all(self) -> list[Cell]:
        return [item.cell for item in self.cells]

    def _work(self) -> ScoringWork:
        prepared = self.prepared
        return ScoringWork(
            recipes=[made.named() for made in prepared.metric_recipes],
            evaluators={i: metric.evaluator for i, metric in enumerate(self.metrics) if metric.evaluator is not None},
            manager=prepared.manager,
            protocol=prepared.card_recipe.named(),
            num=len(prepared.requests),
            frames=prepared.protocol.frames,
            seed=prepared.options.seed,
            run=self.store.root,
            runtime=prepared.runtime,
        )

    def _describe(self, work: ScoringWork) -> None:
        clips, whole = self.references.clips, dict[str, Rows]()
        description = Description(work, [*([clips] if clips else []), *self._groups()], clips.name if clips else "")
        names = {item.cell.id: item.cell.title for item in self.cells}
        with progress_bar("described", total=description.clips) as bar:
            done = 0

            def count(task: Task) -> None:
                nonlocal done
                done += len(task.indices)
                bar.update(done, names.get(task.cell, "reference"))

            self._take(whole)
            for name, rows in description.run(self.prepared.executor, count):
                whole[name] = rows
                if clips and name == clips.name:
                    self._take_reference(rows)
                self._take(whole)
                self._tell()

    def _groups(self) -> list[Group]:
        """The clips of each cell, with the metrics that can be had of it."""
        groups: dict[str, Group] = {}
        for item in self.cells:
            wanted = [i for i, metric in enumerate(self.metrics) if item.lacks(metric) is None]
            if wanted and item.cell.id not in groups:
                name, indices = item.cell.id, self.prepared.indices
                keys = [f"{indices[i]}:{self.store.fingerprint(name, indices[i])}" for i in item.positions]
                groups[name] = Group(name=name, keys=keys, positions=item.positions, metrics=wanted)
        return list(groups.values())

    def _take_reference(self, rows: Rows) -> None:
        for number in rows.group.metrics:
            found = rows.of(number)
            if isinstance(found, str):
                self.metrics[number] = replace(self.metrics[number], status=found)
            else:
                self.references.rows[number] = found

    def _take(self, whole: dict[str, Rows]) -> None:
        """Makes what can be made of the groups that are whole by now."""
        waiting = set(self.references.clips.metrics if self.references.clips else ()) - self.references.rows.keys()
        for number, metric in enumerate(self.metrics):
            for place, item in enumerate(self.cells):
                if (number, place) in self.scored:
                    continue
                lacks, rows = item.lacks(metric), whole.get(item.cell.id)
                if lacks is not None:
                    self.scored[number, place] = item.scored(metric, lacks, None)
                elif rows is not None and number not in waiting:
                    reference = self.references.rows.get(number)
                    its = rows.of(number)
                    self.scored[number, place] = item.scored(metric, its, reference, self.seeds_per_prompt)

    def _measure(self, work: ScoringWork) -> None:
        """What intervals and tests need of metrics of a whole set: each set once, on the executor."""
        tasks = {}
        for at, item in self.scored.items():
            if of_the_set(item):
                method = {
                    "metric": at[0], "rows": item.rows, "reference": item.reference, "prompts": item.prompts
                }  # fmt: skip
                tasks[at] = Task(cell=f"{item.cell.id} {at[0]} {at[1]}", method=method, indices=())
        places = {task.cell: at for at, task in tasks.items()}
        with progress_bar("intervals", total=len(tasks)) as bar:
            for done, (task, found) in enumerate(self.prepared.executor.run(work, list(tasks.values())), 1):
                at = places[task.cell]
                if isinstance(found, SetValue):  # what went wrong goes wrong again when the row is made, and is told
                    self.scored[at] = replace(self.scored[at], known=found)
                bar.update(done, f"{self.metrics[at[0]].name} {self.cells[at[1]].cell.title}")
                self._tell()

    def _in_order(self) -> list[Scored]:
        return [self.scored[at] for at in sorted(self.scored)]

    def _tell(self) -> None:
        """Gives on what is there, without sets that nobody has measured yet."""
        begun = time.monotonic()
        if begun - self._told < max(PARTS, self._took / SHARE):
            return
        there = [item for item in self._in_order() if item.known is not None or not of_the_set(item)]
        if any(item.rows is not None for item in there):
            every = len(self.cells) * len(self.metrics)
            part, _ = self._of(there)
            self.on_part(replace(part, notes=[f"not finished: {len(there)} of {every} values are there", *part.notes]))
        self._told = time.monotonic()
        self._took = self._told - begun

    def _of(self, scored: Sequence[Scored]) -> tuple[Results, list[Scored]]:
        """The results, and what of ``scored`` gave values."""
        prepared, groups = self.prepared, replicates(scored)
        made = zip(self.metrics, prepared.metric_recipes, strict=True)
        keys = {m.evaluator.name if m.evaluator is not None else m.name: _key(prepared, r) for m, r in made}
        label = prepared.protocol.label
        rows = [row_of(group, label, keys[group.first.evaluator.name]) for group in groups]
        for group, row in zip(groups, rows, strict=True):
            if isinstance(row.status, Failure):
                self.store.save_metric_fault(row.metric, group.first.cell.id, row.status)
        good = [group for group, row in zip(groups, rows, strict=True) if row.status == OK]
        comparisons, untested = comparisons_of(good)
        curves = curves_of(good, untested)
        valued = [item for group in good for item in group.there]
        results = Results(
            run=str(prepared.run),
            rows=rows,
            comparisons=comparisons,
            flaws=flaws_of(rows),
            curves=curves,
            per_clip=per_clip_of(valued, prepared.indices),
            notes=[
                *untested,
                *lost_seeds(groups),
                *few_seeds(comparisons),
                *caveat_lines(comparisons),
                *spreads_of(comparisons),
                *worth_in_training(good),
                *failed_clips(self.cells),
            ],
        )
        return results, valued

    def _doubts(self, valued: Sequence[Scored]) -> Iterable[str]:
        prompts = (request.caption for request in self.prepared.requests)
        yield from caption_doubts([item.evaluator for item in valued], prompts)
        yield from doubts(Judged(item.evaluator, item.rows, item.reference, item.prompts) for item in valued)


def of_the_set(item: Scored) -> bool:
    """Whether its metric is one of the whole set, so that an interval takes resampling."""
    try:
        return item.rows is not None and len(item.rows) > 1 and per_clip(item.evaluator, item.rows) is None
    except Exception:  # told when the row is made
        return False


def _key(prepared: Prepared, made: Recipe) -> str:
    """The protocol's key, or another one for a metric whose settings were changed."""
    changed = changed_convention(prepared.manager, made, Conventions.of(prepared.card))
    return prepared.protocol.key if changed is None else digest([prepared.protocol.key, changed])[:12]


def published(prepared: Prepared) -> list[str]:
    """Values from papers for the metrics of this run, to be shown beside ours."""
    names = {metric.name for metric in prepared.metrics}
    return [
        f"published: {item.metric} of {item.method} {item.value:g} ({item.source})"
        for item in optional(prepared.card, ProtocolExtras, "published")
        if item.metric in names
    ]
