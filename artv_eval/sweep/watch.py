"""Scores a training's checkpoints as they appear: each is one sweep of one cell, on the same clips' seeds.

RUN/watch/curves.jsonl     a row a metric and checkpoint: step, metric, value, ci_low, ci_high, n, num_videos, protocol
RUN/watch/curves.svg       the curves with their intervals
RUN/watch/best/            the checkpoint that was best by the first metric, with best.json
RUN/watch/sweeps/STEP/     the sweep's own run folder
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from artv.errors import UserError
from artv.files import claim, read_object, read_text, write_text_atomically
from artv.training.checkpoint import replacing
from artv_eval.plugins.manager import PluginManager
from artv_eval.results.rows import Row, plain_row
from artv_eval.sweep.plan_file import PlannedCell, SweepPlan
from artv_eval.sweep.prepare import prepare
from artv_eval.sweep.run import run_sweep

POLL = 2.0  # seconds
POINT = ("metric", "value", "ci_low", "ci_high", "n", "status", "higher_is_better", "protocol")  # of a row


class Watch:
    """The checkpoints of one training.

    Args:
        run: its folder, which holds, or will hold, ``pipeline/``.
        settings: fields of the plan of every sweep, such as ``metrics``, ``num_videos`` and ``device``.

    Raises:
        UserError: no training run, or settings that no sweep takes.
    """

    def __init__(self, manager: PluginManager, run: Path, settings: Mapping[str, Any]) -> None:
        if not (run / "config.json").is_file():
            raise UserError(f"{run} is no training run: it has no config.json; give the --out of artv train")
        self.manager, self.run, self.settings = manager, run, dict(settings)
        self.folder = run / "watch"
        self.file = self.folder / "curves.jsonl"
        # a still stands for the checkpoint, which may come hours later: what was asked for is checked now
        still = self._plan(PlannedCell(name="model", method="copy-first"), 0)
        asked = prepare(manager, still.model_copy(update={"steps": None}).options())
        self.asked = {"num_videos": len(asked.requests), "protocol_hash": asked.protocol.key}
        self.metrics, self._scored = {metric.title for metric in asked.metrics}, set[int]()

    def rows(self) -> list[dict[str, Any]]:
        """What was found so far, in the order in which it was; a line that a kill cut off is found again."""
        found: list[dict[str, Any]] = []
        for line in read_text(self.file, errors="replace").splitlines() if self.file.is_file() else []:
            with suppress(ValueError):
                found += [row] if isinstance(row := json.loads(line), dict) else []
        return found

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While no other process watches the run: each would take away what the other holds, and its points.

        Raises:
            UserError: another one does.
        """
        with claim(self.folder / "lock", [0]) as ours:
            if not ours:
                raise UserError(f"{self.run} is watched by another process; end that one, or give it all --metrics")
            for half in (self.folder / "held").glob("*.new"):  # of one that was killed
                shutil.rmtree(half, ignore_errors=True)
            yield

    def like_asked(self) -> list[dict[str, Any]]:
        """The points of as many clips by the same protocol: others are no part of their curves."""
        # older versions wrote neither
        return [
            row
            for row in self.rows()
            if row.get("num_videos", row.get("n")) == self.asked["num_videos"]
            and row.get("protocol_hash", self.asked["protocol_hash"]) == self.asked["protocol_hash"]
        ]

    def done(self) -> set[int]:
        """Steps of which every metric was asked already."""
        found: dict[int, set[str]] = {}
        for row in self.like_asked():
            found.setdefault(row["step"], set()).add(row["metric"])
        return self._scored | {step for step, metrics in found.items() if metrics >= self.metrics}

    def checkpoints(self, *, once: bool) -> Iterator[tuple[int, Path]]:
        """Step and pipeline of every checkpoint that was not scored yet, until the training is finished or stopped by
        its time limit; first of those that a killed watch held.
        """
        yield from self._held()
        while True:
            finished = (self.run / "outcome.json").is_file()  # asked first: the last checkpoint comes before it
            held = self._hold()
            if held is not None:
                yield held
            elif finished or once:
                return
            else:
                time.sleep(POLL)

    def score(self, step: int, pipeline: Path, show: Callable[[Any], None]) -> list[dict[str, Any]]:
        """One checkpoint's rows, which are added to the file."""
        plan = self._plan(PlannedCell(name="model", method="artv", settings={"checkpoint": str(pipeline)}), step)
        results = run_sweep(prepare(self.manager, plan.options()), ["artv-eval", "watch", str(self.run)], show)
        found = [_point(step, row) | self.asked for row in results.rows] if results is not None else []
        again, like_asked = {row["metric"] for row in found}, self.like_asked()
        asked_again = [row for row in like_asked if row["step"] == step and row["metric"] in again]
        points = [*(row for row in self.rows() if row not in asked_again), *found]
        # before its points are there: a killed watch scores it again, and keeps it if it is the best
        self._keep_best(pipeline, found, [row for row in like_asked if row not in asked_again])
        write_text_atomically(self.file, "".join(json.dumps(point) + "\n" for point in points))
        self._scored.add(step)
        shutil.rmtree(pipeline.parent, ignore_errors=True)
        return found

    def _plan(self, cell: PlannedCell, step: int) -> SweepPlan:
        out = str(self.folder / "sweeps" / f"{step:08d}")
        return SweepPlan.model_construct(**self.settings, cells=[cell], sanity=False, out=out)

    def _held(self) -> Iterator[tuple[int, Path]]:
        for held in sorted((self.folder / "held").glob("*[0-9]")):
            with suppress(ValueError):
                if (step := _step_of(held / "pipeline")) not in self.done():
                    yield step, held / "pipeline"
            shutil.rmtree(held, ignore_errors=True)

    def _hold(self) -> tuple[int, Path] | None:
        """Step and a pipeline that stays, whatever the training saves meanwhile; None while there is no new one."""
        source = self.run / "pipeline"
        try:
            if (step := _step_of(source)) in self.done():
                return None
            held = self.folder / "held" / f"{step:08d}"
            fresh = held.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(source, fresh / "pipeline", copy_function=_link)
            if not _step_of(fresh / "pipeline") == step == _step_of(source):
                return None
            shutil.rmtree(held, ignore_errors=True)
            fresh.rename(held)
            return step, held / "pipeline"
        except (OSError, shutil.Error, ValueError, KeyError):  # just being replaced
            return None

    def _keep_best(
        self, pipeline: Path, found: Sequence[Mapping[str, Any]], earlier: Sequence[Mapping[str, Any]]
    ) -> None:
        if not found or found[0]["value"] is None:
            return
        first, sign = found[0], 1 if found[0]["higher_is_better"] else -1
        others = [row["value"] for row in earlier if row["metric"] == first["metric"] and row["value"] is not None]
        if all(sign * first["value"] > sign * other for other in others):
            with replacing(self.folder / "best") as fresh:
                shutil.copytree(pipeline, fresh, copy_function=_link, dirs_exist_ok=True)
                (fresh / "best.json").write_text(json.dumps(first, indent=1) + "\n", encoding="utf-8")


def draw(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """A panel a metric: value over step, with its interval."""
    from matplotlib.figure import Figure

    metrics = list(dict.fromkeys(row["metric"] for row in rows if row["value"] is not None))
    if not metrics:
        return
    figure = Figure(figsize=(5.2, 2.4 * len(metrics)), layout="constrained")
    panels = figure.subplots(len(metrics), 1, squeeze=False)[:, 0]
    for panel, metric in zip(panels, metrics, strict=True):
        points = sorted((r for r in rows if r["metric"] == metric and r["value"] is not None), key=lambda r: r["step"])
        steps, values = [r["step"] for r in points], [r["value"] for r in points]
        low, high = ([r[end] if r[end] is not None else r["value"] for r in points] for end in ("ci_low", "ci_high"))
        panel.plot(steps, values, "o-", color="#0072b2")
        panel.fill_between(steps, low, high, color="#0072b2", alpha=0.2, linewidth=0)
        panel.set(xlabel="step", ylabel=metric)
    figure.savefig(file, format="svg")


def _point(step: int, row: Row) -> dict[str, Any]:
    known = plain_row(row)  # JSON has no infinite ends of an interval
    return {"step": step, **{name: known[name] for name in POINT}}


def _step_of(pipeline: Path) -> int:
    step = read_object(pipeline / "step.json").get("step")
    if not isinstance(step, int):
        raise UserError(f"{pipeline / 'step.json'} says no step; is it a pipeline that artv train saved?")
    return step


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # not everywhere
        shutil.copy2(source, target)
