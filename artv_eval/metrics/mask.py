"""The mask scored against the true motion region (shapes world only): does it copy what stands still?

Shape suffixes: n clips, T frames, H W pixels, h w mask cells, P cells of a clip.
"""

import numpy as np
import torch
import torch.nn.functional as F

from artv_eval.api import ClipSet
from artv_eval.metrics.base import MeanEvaluator, labels_of


def roc_auc(score_P: np.ndarray, positive_P: np.ndarray) -> float:
    """Area under the ROC curve: probability that a positive outscores a negative, ties counting half. NaN if a class
    is empty.

    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    positive_P = np.asarray(positive_P, bool)
    n_pos, n_neg = int(positive_P.sum()), int((~positive_P).sum())
    if n_pos == 0 or n_neg == 0:
        return float("nan")
    _, inverse, counts = np.unique(score_P, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((rank[positive_P].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def pool_region(motion_THW: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """(T−1, h, w) bool: a mask cell moves when any of its pixels does (a cell is copied whole). Frame 0 is left out."""
    moving = torch.from_numpy(np.ascontiguousarray(motion_THW[1:])).float()[:, None]
    return (F.adaptive_max_pool2d(moving, cells)[:, 0] > 0).numpy()


class MaskEvaluator(MeanEvaluator):
    """ROC area of 1 − mask against the true motion region, per clip over all its cells; rows (n, 3).

    A row holds the area, the mean mask inside the region and the mean mask outside it. Clips without motion are NaN.

    Args:
        quantity: ``auc``, or ``contrast`` for the mean mask outside minus inside.
    """

    higher_is_better = True
    needs = frozenset({"mask", "labels"})
    digest, in_parts = "mask-1", True

    def __init__(self, quantity: str = "auc", *, name: str | None = None):
        self.quantity = quantity
        self.name = name or f"mask_{quantity}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, 3): area, mean mask inside, mean mask outside."""
        rows = []
        for request, clip in clips:
            labels = labels_of(request, "motion")
            if clip.mask is None or labels is None:
                raise self.lacks("the predicted mask" if clip.mask is None else "the true motion region")
            rows.append(mask_row(np.asarray(clip.mask), labels[0]))
        return np.array(rows)

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): the area, or outside minus inside."""
        return rows[:, 0] if self.quantity == "auc" else rows[:, 2] - rows[:, 1]


def mask_row(mask_Thw: np.ndarray, motion_THW: np.ndarray) -> tuple[float, float, float]:
    """Area, mean mask inside and outside of the true motion region, for one clip's mask (T−1, h, w)."""
    region = pool_region(motion_THW[: len(mask_Thw) + 1], mask_Thw.shape[1:])
    if not region.any() or region.all():
        return (float("nan"),) * 3
    return (
        roc_auc(1 - mask_Thw.ravel(), region.ravel()),
        float(mask_Thw[region].mean()),
        float(mask_Thw[~region].mean()),
    )
