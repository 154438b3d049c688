"""Inception Score (Salimans et al. 2016): exp of the mean KL divergence of each clip's classes from the mean classes.

On UCF-101 the classifier is C3D (Saito et al. 2017).

Shape suffixes: n clips, K classes, B batch, R resamples.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.special import entr, softmax
from torch import Tensor
from torchmetrics import Metric

from artv.errors import UserError
from artv_eval.api import ClipSet
from artv_eval.features.base import FeatureExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.base import BATCH, Evaluator, batched, frames_of


def inception_score(probability_nK: np.ndarray) -> float:
    """exp(H(mean p) − mean H(p)), between 1 and K."""
    return float(np.exp(entr(probability_nK.mean(0)).sum() - entr(probability_nK).sum(1).mean()))


class InceptionScore(Metric):
    """Inception Score as a torchmetrics metric. State: sums of probabilities and entropies, which add across shards.

    Args:
        classifier: maps uint8 clips (B, T, 3, H, W) to logits (B, K); None when :meth:`update` is given logits.
        classes: K; taken from ``classifier.dim`` if that exists.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    probability: Tensor
    entropy: Tensor
    count: Tensor

    def __init__(
        self,
        classifier: FeatureExtractor | Callable[[Tensor], Tensor] | None = None,
        *,
        classes: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        classes = classes or getattr(classifier, "dim", None)
        if classes is None:
            raise UserError("InceptionScore needs classes, their number, when the classifier does not say it")
        self.classifier = classifier
        self.add_state("probability", torch.zeros(classes, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("entropy", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, clips: Tensor) -> None:
        """Adds clips, or their logits when there is no classifier."""
        logits = self.classifier(clips) if self.classifier is not None else clips
        p_BK = logits.to(self.probability).softmax(1)
        self.probability = self.probability + p_BK.sum(0)
        self.entropy = self.entropy + torch.special.entr(p_BK).sum()
        self.count = self.count + len(p_BK)

    def compute(self) -> Tensor:
        """The score, float64 scalar."""
        if self.count == 0:
            raise UserError("InceptionScore got no clips")
        mean = self.probability / self.count
        return (torch.special.entr(mean).sum() - self.entropy / self.count).exp()


class InceptionScoreEvaluator(Evaluator):
    """Inception Score in the harness; rows are class probabilities, (n, K)."""

    higher_is_better = True

    def __init__(
        self, classifier: FeatureExtractor, *, transform: Transform | None = None, name: str = "inception_score"
    ):
        self.classifier, self.transform, self.name = classifier, transform, name
        self.digest = f"classes-{classifier.name}-{classifier.digest}"
        if transform is not None:
            self.digest += f"-{transform.model_dump_json(exclude_defaults=True)}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, K) probabilities."""
        logits = [self.classifier(frames_of(b, self.transform)).double().cpu().numpy() for b in batched(clips, BATCH)]
        return softmax(np.concatenate(logits), axis=1)

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """The score over all clips at once (no splits: they only lower it)."""
        return inception_score(rows)
