"""Factories of the built-in metrics, as ``metrics`` components name them.

``feature`` is an extractor or the name of one; a protocol card says which (``Protocol.metric_settings``).
"""

from typing import Any

from artv.errors import UserError
from artv_eval.features.preprocess import Transform
from artv_eval.features.registry import feature as find
from artv_eval.metrics.base import Evaluator


def _transform(values: dict[str, Any] | None) -> Transform | None:
    try:
        return Transform(**values) if values else None
    except ValueError as error:
        raise UserError(f"transform is {values}: {str(error).splitlines()[-1].strip()}") from None


def fvd(
    feature: Any = "shapes",
    ddof: int = 1,
    subset: int | None = None,
    repeats: int = 1,
    transform: dict[str, Any] | None = None,
    device: str = "cpu",
) -> Evaluator:
    """Fréchet video distance."""
    from artv_eval.metrics.fvd import FvdEvaluator

    return FvdEvaluator(
        find(feature, device), transform=_transform(transform), ddof=ddof, subset=subset, repeats=repeats
    )


def fvd_infinity(
    feature: Any = "shapes", ddof: int = 1, transform: dict[str, Any] | None = None, device: str = "cpu"
) -> Evaluator:
    """FVD extrapolated to infinitely many clips."""
    from artv_eval.metrics.extrapolation import FvdInfinityEvaluator

    return FvdInfinityEvaluator(find(feature, device), transform=_transform(transform), ddof=ddof)


def clipsim(feature: Any = "shapes-clip", device: str = "cpu") -> Evaluator:
    """Agreement with the caption."""
    from artv_eval.metrics.clipsim import ClipSimEvaluator

    return ClipSimEvaluator(find(feature, device))


def clipsim_drift(feature: Any = "shapes-clip", device: str = "cpu") -> Evaluator:
    """Loss of agreement with the caption, a frame."""
    from artv_eval.metrics.clipsim import ClipSimDrift

    return ClipSimDrift(find(feature, device))


def anchor_similarity(feature: Any = "shapes-clip", device: str = "cpu") -> Evaluator:
    """Similarity of every frame to the first."""
    from artv_eval.metrics.clipsim import AnchorSimilarity

    return AnchorSimilarity(find(feature, device))


def anchor_drift(feature: Any = "shapes-clip", device: str = "cpu") -> Evaluator:
    """Loss of similarity to the first frame, a frame."""
    from artv_eval.metrics.clipsim import AnchorDrift

    return AnchorDrift(find(feature, device))


def drift() -> Evaluator:
    """Change of the still background, grey levels a frame."""
    from artv_eval.metrics.drift import DriftEvaluator

    return DriftEvaluator("change")


def sharpness_drift() -> Evaluator:
    """Change of sharpness a frame, relative to the first."""
    from artv_eval.metrics.drift import DriftEvaluator

    return DriftEvaluator("sharpness")


def contrast_drift() -> Evaluator:
    """Change of contrast a frame, relative to the first."""
    from artv_eval.metrics.drift import DriftEvaluator

    return DriftEvaluator("contrast")


def saturation_drift() -> Evaluator:
    """Change of saturation a frame, relative to the first."""
    from artv_eval.metrics.drift import DriftEvaluator

    return DriftEvaluator("saturation")


def mask_auc() -> Evaluator:
    """Area under the ROC curve of the mask against the true motion region."""
    from artv_eval.metrics.mask import MaskEvaluator

    return MaskEvaluator("auc")


def mask_contrast() -> Evaluator:
    """Mean mask outside the true motion region minus inside."""
    from artv_eval.metrics.mask import MaskEvaluator

    return MaskEvaluator("contrast")


def caption(feature: Any = "shapes", device: str = "cpu") -> Evaluator:
    """Share of named colours that are recognised moving as the caption says."""
    from artv_eval.metrics.caption import CaptionEvaluator

    return CaptionEvaluator(find(feature, device), "caption")


def caption_colour(feature: Any = "shapes", device: str = "cpu") -> Evaluator:
    """Share of named colours that are recognised."""
    from artv_eval.metrics.caption import CaptionEvaluator

    return CaptionEvaluator(find(feature, device), "colour")


def caption_motion(feature: Any = "shapes", device: str = "cpu") -> Evaluator:
    """Share of named motions that are recognised."""
    from artv_eval.metrics.caption import CaptionEvaluator

    return CaptionEvaluator(find(feature, device), "motion")


def kvd(feature: Any = "shapes", transform: dict[str, Any] | None = None, device: str = "cpu") -> Evaluator:
    """Kernel video distance: polynomial MMD, unbiased."""
    from artv_eval.metrics.kvd import KvdEvaluator

    return KvdEvaluator(find(feature, device), transform=_transform(transform))


def window_fvd(
    feature: Any = "shapes",
    length: int = 8,
    stride: int = 4,
    ddof: int = 1,
    transform: dict[str, Any] | None = None,
    device: str = "cpu",
) -> Evaluator:
    """FVD on sliding windows of ``length`` frames, one every ``stride``."""
    from artv_eval.metrics.windows import WindowFvdEvaluator

    return WindowFvdEvaluator(
        find(feature, device), transform=_transform(transform), length=length, stride=stride, ddof=ddof
    )


def window_fvd_drift(
    feature: Any = "shapes",
    length: int = 8,
    stride: int = 4,
    ddof: int = 1,
    transform: dict[str, Any] | None = None,
    device: str = "cpu",
) -> Evaluator:
    """Growth of FVD on sliding windows, a frame."""
    from artv_eval.metrics.windows import WindowFvdDrift

    return WindowFvdDrift(
        find(feature, device), transform=_transform(transform), name="window_fvd_drift", length=length, stride=stride,
        ddof=ddof,
    )  # fmt: skip


def inception_score(feature: Any = "c3d", transform: dict[str, Any] | None = None, device: str = "cpu") -> Evaluator:
    """Inception Score."""
    from artv_eval.metrics.inception import InceptionScoreEvaluator

    return InceptionScoreEvaluator(find(feature, device), transform=_transform(transform))


def frame_fid(feature: Any = "shapes-clip", ddof: int = 1, device: str = "cpu") -> Evaluator:
    """FID of frames."""
    from artv_eval.metrics.frames import FrameFidEvaluator

    return FrameFidEvaluator(find(feature, device), ddof=ddof)


def psnr() -> Evaluator:
    """PSNR to the ground truth, dB."""
    from artv_eval.metrics.frames import FrameSimilarityEvaluator

    return FrameSimilarityEvaluator("psnr")


def ssim() -> Evaluator:
    """SSIM to the ground truth."""
    from artv_eval.metrics.frames import FrameSimilarityEvaluator

    return FrameSimilarityEvaluator("ssim")


def lpips(weights: str | None = None, device: str = "cpu") -> Evaluator:
    """LPIPS to the ground truth."""
    from artv_eval.metrics.frames import FrameSimilarityEvaluator, Lpips

    return FrameSimilarityEvaluator("lpips", Lpips(weights, device))


def flicker() -> Evaluator:
    """Change of the still background from frame to frame, grey levels."""
    from artv_eval.metrics.frames import FlickerEvaluator

    return FlickerEvaluator()


def warping_error(weights: str | None = None, device: str = "cpu") -> Evaluator:
    """Warping error along RAFT's optical flow."""
    from artv_eval.metrics.warping import Raft, WarpingErrorEvaluator

    return WarpingErrorEvaluator(Raft(weights, device))


def seconds() -> Evaluator:
    """Wall-clock seconds a clip."""
    from artv_eval.metrics.seconds import SecondsEvaluator

    return SecondsEvaluator()
