"""Inception Score (Salimans et al. 2016): exp of the mean KL divergence of each clip's classes from the mean classes.

On UCF-101 the classifier is C3D (Saito et al. 2017). Published scores are means over 10 splits, which lower it.

Shape suffixes: n clips, K classes, B batch, R resamples.
"""

import numpy as np
from scipy.special import entr, softmax

from artv.errors import UserError
from artv_eval.api import ClipSet
from artv_eval.features.base import FeatureExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.base import BuiltIn
from artv_eval.metrics.whole import whole_for


def inception_score(probability_nK: np.ndarray) -> float:
    """exp(H(mean p) − mean H(p)), between 1 and K."""
    return float(np.exp(entr(probability_nK.mean(0)).sum() - entr(probability_nK).sum(1).mean()))


class InceptionScoreEvaluator(BuiltIn):
    """Inception Score in the harness; rows are class probabilities, (n, K)."""

    higher_is_better, in_parts = True, True

    def __init__(
        self,
        classifier: FeatureExtractor,
        *,
        transform: Transform | None = None,
        name: str = "inception_score",
        splits: int = 10,
    ):
        if splits < 1:
            raise UserError(f"splits is {splits}; it must be at least 1")
        self.classifier = self.features = classifier
        self.transform, self.name, self.splits = transform, name, splits
        self.digest = f"classes-{classifier.name}-{classifier.digest}"
        if transform is not None:
            self.digest += f"-{transform.model_dump_json(exclude_defaults=True)}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, K) probabilities."""
        taken = whole_for(self.classifier, clips, self.transform)
        logits = [self.classifier(clip).double().cpu().numpy() for _, clip in taken]
        return softmax(np.concatenate(logits), axis=1)

    def evaluate(self, rows: np.ndarray, reference: np.ndarray | None = None) -> float:
        """The mean over the splits, each a random part of the clips: in order they might be of a few classes each."""
        if len(rows) < 2 * self.splits:
            raise UserError(
                f"inception_score over {self.splits} splits needs {2 * self.splits} clips and has {len(rows)}; take "
                "more, or --set inception_score.splits=1, which is another number"
            )
        mixed = rows[np.random.default_rng(0).permutation(len(rows))]
        return float(np.mean([inception_score(part) for part in np.array_split(mixed, self.splits)]))
