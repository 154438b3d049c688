"""VBench's own prompts: its sixteen dimensions and totals as metrics; each needs the networks of its own dimensions.

Shape legend: n clips, d dimensions (1, or those of a total), R resamples. Rows have d scores and the number of the
clip's prompt, -1 of a long clip.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from artv.errors import UserError, closest
from artv_eval import ClipSet, digest_of, mean_where_defined
from artv_vbench import ALL, TOTALS
from artv_vbench.metric import SCALE
from artv_vbench.scoring import Scorer
from artv_vbench.segments import is_long
from artv_vbench.static import FILTERED, FIRST
from artv_vbench.suite import Suite
from artv_vbench.totals import OF, total

RULE = "static"  # of which clips count
FILTER = "dynamic_degree"  # whose network tells which clips stand still
OR_ELSE = {
    "color": ", or it finds the object of the prompt in none",
    FILTERED: ", or none that has one stands still",
}
"""Why VBench gives a clip no score, beside that its prompt is not for the dimension."""


class SuiteEvaluator:
    """A dimension over the clips of its own prompts, or a total of all sixteen.

    Args:
        of: ``total``, ``quality``, ``semantic``, or a dimension as VBench writes it.
        prompts: the list; None: the one that comes with VBench.
        list_digest: that it has, where it is not VBench's.
        fetch: VBench may fetch the networks that it lacks, when the metric is made.
        python: of the environment that has VBench; None: this one.
        device: where it runs.

    Raises:
        UserError: no such score, another list, VBench is not installed or lacks a network.
    """

    higher_is_better = True
    needs = frozenset({"captions"})
    said = "vbench-suite: as VBench's list has it; of temporal_flickering the first five still clips of a prompt"

    def __init__(
        self,
        of: str = "total",
        *,
        prompts: str | None = None,
        list_digest: str | None = None,
        fetch: bool = False,
        python: str | None = None,
        device: str = "cpu",
    ) -> None:
        if of not in (*TOTALS, *ALL):
            raise UserError(f"vbench-suite is of {of!r}; {closest(of, (*TOTALS, *ALL))}")
        self.of, self.name, self.dimensions = of, f"vbench-suite:{of}", OF.get(of, (of,))
        self._scorer = Scorer(device, self.dimensions, python, [FILTER] if FILTERED in self.dimensions else [])
        self.suite = Suite.read(Path(prompts) if prompts else self._scorer.list_path(), list_digest)
        self.digest = f"vbench-suite-{digest_of([RULE, self.suite.digest, self._scorer.digest(fetch)])}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, d + 1): VBench's score of each clip where its prompt is for the dimension, else NaN; the prompt."""
        numbers = [-1 if is_long(r.num_frames, r.fps) else self.suite.number(r.caption) for r in clips.requests]
        return np.column_stack([self._scorer.scores(clips, self.suite), numbers])

    def per_clip(self, rows: np.ndarray) -> np.ndarray | None:
        """(n,): a dimension's scores, on the scale of the totals; None of a total."""
        if self.of in TOTALS:
            return None
        values = _counted(rows, self.dimensions)[:, 0]
        if np.isnan(values).all():
            raise UserError(
                f"VBench has no score for {self.of} of any of these {len(rows)} clips: none has a prompt that its list "
                f"has for it{OR_ELSE.get(self.of, '')}"
            )
        return values

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """The mean over the clips of a dimension's prompts, or the total of such means."""
        values = self.per_clip(rows)
        if values is not None:
            return float(np.nanmean(values))
        counted = _counted(rows, self.dimensions)
        lacking = [name for name, empty in zip(self.dimensions, np.isnan(counted).all(0), strict=True) if empty]
        if lacking:
            raise UserError(
                f"{self.of} is of {len(self.dimensions)} dimensions; no clip has a score for {', '.join(lacking)}"
            )
        return self._value(counted)

    def resample(self, rows: np.ndarray, reference: np.ndarray | None, index_Rn: np.ndarray) -> np.ndarray:
        """(R,): the value of such samples of the clips. Raises UserError where one lacks a dimension altogether."""
        counted = _counted(rows, self.dimensions)
        found = np.array([self._value(counted[index]) for index in index_Rn])
        if np.isnan(found).any():
            fewest = self.dimensions[int((~np.isnan(counted)).sum(0).argmin())]
            raise UserError(f"too few clips for an interval: half of them can be without {fewest}; take the whole list")
        return found

    def _value(self, counted: np.ndarray) -> float:
        means = mean_where_defined(counted)
        return total(self.of, means) if self.of in TOTALS else float(means[0])


def _counted(rows: np.ndarray, dimensions: Sequence[str]) -> np.ndarray:
    """(n, d): the scores that count, on the scale of the totals: of static clips the first five of a prompt."""
    scores = rows[:, :-1] * np.array([SCALE.get(name, 1.0) for name in dimensions])
    if FILTERED not in dimensions:
        return scores
    column = dimensions.index(FILTERED)
    static = np.flatnonzero(~np.isnan(scores[:, column]) & (rows[:, -1] >= 0))
    prompts = rows[static, -1]
    earlier = np.array([(prompts[:i] == prompt).sum() for i, prompt in enumerate(prompts)], int)
    scores[static[earlier >= FIRST], column] = np.nan
    return scores


def suite(
    *,
    of: str = "total",
    prompts: str | None = None,
    list_digest: str | None = None,
    fetch: bool = False,
    python: str | None = None,
    device: str = "cpu",
) -> SuiteEvaluator:
    """VBench over its own prompts.

    Args:
        of: total, quality, semantic, or a dimension as VBench writes it.
        prompts: its VBench_full_info.json; None: the one that comes with it.
        list_digest: of that list, where it is not VBench's.
        fetch: VBench may fetch the networks that it lacks.
        python: of the environment that has VBench; None: this one.
        device: where it runs.
    """
    return SuiteEvaluator(of, prompts=prompts, list_digest=list_digest, fetch=fetch, python=python, device=device)
