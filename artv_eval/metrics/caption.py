"""Does the clip show what the caption says? Recognition by the independent classifier of the shapes world.

Per object that the caption names, is its colour, or its colour together with its motion, among the classifier's k most
likely, with k the number of objects named? Chance is about 1/8 for a colour and 1/72 for a pair.

Shape suffixes: B clips, n clips, K labels, O objects (2; −1 = absent).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artv_eval.api import ClipSet
from artv_eval.features.base import AttributeClassifier
from artv_eval.metrics.base import MeanEvaluator, labels_of
from artv_eval.metrics.whole import whole_for

QUANTITIES = ("caption", "colour", "motion")


def recall_at_named(score_BK: Tensor, named: list[list[int]]) -> Tensor:
    """(B,): share of each clip's named labels among its top k scores, k = how many it names."""
    hits = [
        len(set(score.topk(len(labels)).indices.tolist()) & set(labels)) / len(labels)
        for score, labels in zip(score_BK, named, strict=True)
    ]
    return torch.tensor(hits)


def shares_named(classifier: AttributeClassifier, clips_BTCHW: Tensor, labels: Sequence[Sequence[Any]]) -> np.ndarray:
    """(B, 3): shares recognised of the named (colour, motion) pairs, colours and motions.

    ``labels``: (colours, motions) of every clip, −1 = no second object.
    """
    scores = {k: v.float().cpu() for k, v in classifier.attributes(clips_BTCHW).items()}
    motions = scores["pair"].shape[2]
    named = [[(int(c), int(m)) for c, m in zip(*label, strict=True) if c >= 0] for label in labels]
    pair = recall_at_named(scores["pair"].flatten(1), [[c * motions + m for c, m in row] for row in named])
    colour = recall_at_named(scores["colour"], [sorted({c for c, _ in row}) for row in named])
    motion = recall_at_named(torch.logsumexp(scores["pair"], 1), [sorted({m for _, m in row}) for row in named])
    return torch.stack([pair, colour, motion], 1).numpy()


class CaptionEvaluator(MeanEvaluator):
    """Caption accuracy in the harness; rows (n, 3) hold the share of named (colour, motion) pairs, colours and motions.

    Args:
        classifier: gives the scores.
        quantity: ``caption`` (a colour with its motion), ``colour`` or ``motion`` alone.
    """

    higher_is_better, in_parts = True, True
    needs = frozenset({"labels"})

    def __init__(self, classifier: AttributeClassifier, quantity: str = "caption", *, name: str | None = None):
        self.classifier = self.features = classifier
        self.quantity = quantity
        self.name = name or ("caption" if quantity == "caption" else f"caption_{quantity}")
        self.digest = f"caption-{classifier.name}-{classifier.digest}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, 3): shares recognised of pairs, colours, motions."""
        parts = []
        for requests, clip in whole_for(self.classifier, clips):
            labels = [labels_of(request, "colour", "motion_label") for request in requests]
            if any(label is None for label in labels):
                raise self.lacks("the colours and motions that its caption names")
            parts.append(shares_named(self.classifier, clip, [label for label in labels if label is not None]))
        return np.concatenate(parts)

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): share recognised, 0 … 1."""
        return rows[:, QUANTITIES.index(self.quantity)]
