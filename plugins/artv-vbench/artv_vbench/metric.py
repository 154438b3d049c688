"""A VBench dimension as an evaluator: its per-video scores are the rows.

Shape legend: n clips.
"""

from typing import Any

import numpy as np

from artv.errors import UserError
from artv_eval import ClipSet
from artv_vbench import DIMENSIONS, LISTED
from artv_vbench.scoring import Scorer

SCALE = {"imaging_quality": 0.01}  # VBench divides this dimension's mean by 100, and no clip's score


class VBenchEvaluator:
    """One dimension of VBench for clips of any prompt, mean over clips.

    Args:
        dimension: as VBench writes it.
        fetch: VBench may fetch the networks that it lacks, when the metric is made.
        python: of the environment that has VBench; None: this one.
        device: where it runs.

    Raises:
        UserError: VBench is not installed, does not import, or lacks a network.
    """

    higher_is_better = True

    def __init__(self, dimension: str, *, fetch: bool = False, python: str | None = None, device: str = "cpu") -> None:
        self.dimension, self._scorer = dimension, Scorer(device, [dimension], python)
        self.name = f"vbench-{dimension.replace('_', '-')}"
        self.needs = frozenset({"captions"}) if dimension in ("overall_consistency", "temporal_style") else frozenset()
        self.digest = f"vbench-{dimension}-{self._scorer.digest(fetch)}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, 1): VBench's score of each clip."""
        return self._scorer.scores(clips)

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): the scores, on the scale of VBench's totals."""
        return rows[:, 0] * SCALE.get(self.dimension, 1.0)

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """Their mean."""
        return float(self.per_clip(rows).mean())


def _factory(dimension: str) -> Any:
    def make(*, fetch: bool = False, python: str | None = None, device: str = "cpu") -> VBenchEvaluator:
        return VBenchEvaluator(dimension, fetch=fetch, python=python, device=device)

    make.__doc__ = f"VBench's {dimension.replace('_', ' ')}: {DIMENSIONS[dimension]}.\n\nArgs:\n"
    make.__doc__ += "    fetch: VBench may fetch the networks that it lacks.\n"
    make.__doc__ += "    python: of the environment that has VBench; None: this one.\n    device: where it runs.\n"
    return make


def _refusal(dimension: str) -> Any:
    def refuse(*, device: str = "cpu") -> VBenchEvaluator:
        raise UserError(
            f"VBench's {dimension} is for the prompts of its own list, which says what to look for; take "
            f"--metrics vbench-suite:{dimension} with clips of those"
        )

    refuse.__doc__ = f"VBench's {dimension.replace('_', ' ')}: for its own list alone.\n\nArgs:\n    device: unused.\n"
    return refuse


globals().update({name: _factory(name) for name in DIMENSIONS} | {name: _refusal(name) for name in LISTED})
