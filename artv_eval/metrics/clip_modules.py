"""Metrics that are a mean over clips as ``torchmetrics.Metric``: usable without the harness.

Shape suffixes: B clips, n clips in all, T frames, C channels, H W pixels, h w mask cells, O objects.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from artv.errors import UserError, closest
from artv_eval.features.base import AttributeClassifier, TextImageExtractor
from artv_eval.metrics.base import slope
from artv_eval.metrics.caption import shares_named
from artv_eval.metrics.clipsim import frame_similarities
from artv_eval.metrics.drift import CURVES, relative_curve
from artv_eval.metrics.frames import Similarity, flicker_curve, similarity, similarity_curve
from artv_eval.metrics.mask import mask_row
from artv_eval.metrics.warping import Flow, Raft, warping_curve


class PerClipMetric(Metric):
    """Mean of one value a clip. State: sum and number in float64, which add across shards, and the values."""

    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor
    kept: list[Tensor]

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("kept", [], dist_reduce_fx="cat")

    @abstractmethod
    def values(self, *args: Any) -> Tensor:
        """(B,) values of the clips of one update; NaN where undefined."""

    def update(self, *args: Any) -> None:
        """Adds clips; the arguments are those of :meth:`values`."""
        value_B = self.values(*args).double().to(self.total.device)
        self.kept.append(value_B)
        self.total = self.total + value_B.nansum()
        self.count = self.count + (~value_B.isnan()).sum()

    def compute(self) -> Tensor:
        """The mean over the clips on which the metric is defined, float64."""
        if self.count == 0:
            raise UserError(f"{type(self).__name__} got no clips on which it is defined")
        return self.total / self.count

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        if not len(self.kept):  # a rank without clips: others wait for its state
            self.kept = [torch.zeros(0, dtype=torch.float64, device=self.device)]
        super()._sync_dist(*args, **kwargs)

    def per_clip(self) -> Tensor:
        """(n,): one value a clip, in the order of the updates (shards in the order of their ranks)."""
        return dim_zero_cat(self.kept) if len(self.kept) else self.total.new_zeros(0)


class ClipSim(PerClipMetric):
    """CLIPSIM as a torchmetrics metric; :meth:`per_prompt` keeps the value of every clip.

    Args:
        clip: the text and image encoder, for example that of ``artv_eval.features.clip.clip()``.
    """

    higher_is_better = True

    def __init__(self, clip: TextImageExtractor, **kwargs: Any):
        super().__init__(**kwargs)
        self.clip = clip

    def values(self, clips_BTCHW: Tensor, captions: Sequence[str]) -> Tensor:
        """(B,) of clips, uint8 (B, T, 3, H, W), with one caption each: mean over frames, in [−1, 1]."""
        return frame_similarities(self.clip, clips_BTCHW, captions).mean(1)

    def per_prompt(self) -> Tensor:
        """(n,): one value a clip."""
        return self.per_clip()


class Drift(PerClipMetric):
    """Drift as a torchmetrics metric: slope a frame of one of the ``CURVES``."""

    def __init__(self, quantity: str = "change", **kwargs: Any):
        super().__init__(**kwargs)
        if quantity not in CURVES:
            raise UserError(f"drift quantity is {quantity!r}; {closest(quantity, CURVES)}")
        self.quantity = quantity

    def values(self, clips_BTCHW: Tensor) -> Tensor:
        """(B,) of clips, uint8 (B, T, 3, H, W)."""
        return torch.from_numpy(slope(relative_curve(self.quantity, clips_BTCHW)))


class MaskAuc(PerClipMetric):
    """The mask's ROC area as a torchmetrics metric."""

    higher_is_better = True

    def values(self, mask_BThw: Tensor, motion_BTHW: Tensor) -> Tensor:
        """(B,) of masks float (B, T−1, h, w), high = copied, and true motion regions bool (B, T, H, W)."""
        pairs = zip(mask_BThw.cpu().numpy(), motion_BTHW.cpu().numpy(), strict=True)
        return torch.tensor([mask_row(mask, motion)[0] for mask, motion in pairs], dtype=torch.float64)


class CaptionAccuracy(PerClipMetric):
    """Share of named (colour, motion) pairs that are recognised, as a torchmetrics metric."""

    higher_is_better = True

    def __init__(self, classifier: AttributeClassifier, **kwargs: Any):
        super().__init__(**kwargs)
        self.classifier = classifier

    def values(self, clips_BTCHW: Tensor, colour_BO: Tensor, motion_BO: Tensor) -> Tensor:
        """(B,) of clips, uint8 (B, T, 3, H, W), with the indices of the colours and motions named (−1 = none)."""
        labels = list(zip(colour_BO.tolist(), motion_BO.tolist(), strict=True))
        return torch.from_numpy(shares_named(self.classifier, clips_BTCHW, labels)[:, 0])


class FrameSimilarity(PerClipMetric):
    """PSNR, SSIM or LPIPS to the ground truth as a torchmetrics metric: mean over frames after the first."""

    def __init__(self, name: str = "psnr", measure: Similarity | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.measure = measure or similarity(name)

    def values(self, clips_BTCHW: Tensor, truth_BTCHW: Tensor) -> Tensor:
        """(B,) of clips and ground truths, uint8 (B, T, 3, H, W)."""
        return similarity_curve(self.measure, clips_BTCHW, truth_BTCHW)[:, 1:].mean(1)


class Flicker(PerClipMetric):
    """Temporal flicker as a torchmetrics metric: grey levels, 0 = steady."""

    higher_is_better = False

    def values(self, clips_BTCHW: Tensor) -> Tensor:
        """(B,) of clips, uint8 (B, T, 3, H, W)."""
        return flicker_curve(clips_BTCHW).mean(1)


class WarpingError(PerClipMetric):
    """Warping error as a torchmetrics metric. ``flow``: by default RAFT."""

    higher_is_better = False

    def __init__(self, flow: Flow | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.flow = flow or Raft()

    def values(self, clips_BTCHW: Tensor) -> Tensor:
        """(B,) of clips, uint8 (B, T, 3, H, W)."""
        return warping_curve(self.flow, clips_BTCHW).nanmean(1)
