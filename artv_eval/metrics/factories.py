"""Factories of the built-in metrics, as ``metrics`` components name them.

``feature`` is an extractor or the name of one. Its annotation says of what: a metric of clips takes what the protocol's
card or ``--features`` says of clips, one of pictures what the card says of pictures; a classifier is the metric's own.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ValidationError

from artv.errors import UserError
from artv.ranges import Count, Several
from artv_eval.api import Evaluator
from artv_eval.errors import explain
from artv_eval.features.base import AttributeClassifier, ClipClassifier, FeatureExtractor, TextImageExtractor
from artv_eval.features.preprocess import Transform
from artv_eval.features.registry import feature as find


def _transform(values: dict[str, Any] | None) -> Transform | None:
    try:
        return Transform(**values) if values else None
    except ValidationError as error:
        raise UserError(f"transform is {values}: {explain(error, Transform)}") from None


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    _transform(values)
    return values


Ddof = Literal[0, 1]
TransformSettings = Annotated[dict[str, Any], AfterValidator(_checked)]


# what an extractor must do, what one that does not is, and which do
_CLIPS = (callable, "pictures, not clips", "shapes, i3d, videomae")
_PICTURES = (lambda found: hasattr(found, "images"), "clips, not pictures", "shapes-clip, clip, dinov2")
_SENTENCES = (lambda found: hasattr(found, "texts"), "pictures, no sentences", "shapes-clip, clip")


def _extractor(*must: tuple[Callable[[Any], bool], str, str]) -> Callable[[Any, str], Any]:
    """What finds an extractor, and raises UserError for one that cannot do what a metric needs."""

    def found(given: Any, device: str) -> Any:
        extractor = find(given, device)
        for does, it_describes, these_do in must:
            if not does(extractor):
                raise UserError(f"feature {_name(extractor)!r} describes {it_describes}; take one such as {these_do}")
        return extractor

    return found


_of_clips, _of_pictures, _of_captions = _extractor(_CLIPS), _extractor(_PICTURES), _extractor(_PICTURES, _SENTENCES)


def _name(found: Any) -> str:
    return getattr(found, "name", type(found).__name__)


def _check(ddof: int, subset: int | None = None, repeats: int = 1, first: int | None = None) -> None:
    if ddof not in (0, 1):
        raise UserError(f"ddof is {ddof}; it must be 1 (covariance divided by n - 1) or 0 (by n)")
    if repeats < 1 or (subset is not None and subset < 2):
        raise UserError(f"subset is {subset} and repeats {repeats}; give subsets of at least 2 clips, at least 1 time")
    if first is not None and first < max(2, subset or 0):
        raise UserError(f"first is {first}; give at least {max(2, subset or 0)} prompts, or leave it out for all clips")


def fvd(
    feature: FeatureExtractor | str = "shapes",
    ddof: Ddof = 1,
    subset: Several | None = None,
    repeats: Count = 1,
    first: Several | None = None,
    transform: TransformSettings | None = None,
    device: str = "cpu",
) -> Evaluator:
    """Fréchet video distance."""
    from artv_eval.metrics.fvd import FvdEvaluator

    _check(ddof, subset, repeats, first)
    made = FvdEvaluator(
        _of_clips(feature, device), transform=_transform(transform), ddof=ddof, subset=subset, repeats=repeats
    )
    made.first = first
    return made


def fvd_infinity(
    feature: FeatureExtractor | str = "shapes",
    ddof: Ddof = 1,
    first: Several | None = None,
    transform: TransformSettings | None = None,
    device: str = "cpu",
) -> Evaluator:
    """FVD extrapolated to infinitely many clips."""
    from artv_eval.metrics.extrapolation import FvdInfinityEvaluator

    _check(ddof, first=first)
    made = FvdInfinityEvaluator(_of_clips(feature, device), transform=_transform(transform), ddof=ddof)
    made.first = first
    return made


def clipsim(feature: TextImageExtractor | str = "shapes-clip", device: str = "cpu") -> Evaluator:
    """Agreement with the caption."""
    from artv_eval.metrics.clipsim import ClipSimEvaluator

    return ClipSimEvaluator(_of_captions(feature, device))


def clipsim_drift(feature: TextImageExtractor | str = "shapes-clip", device: str = "cpu") -> Evaluator:
    """Loss of agreement with the caption, a frame."""
    from artv_eval.metrics.clipsim import ClipSimDrift

    return ClipSimDrift(_of_captions(feature, device))


def anchor_similarity(feature: TextImageExtractor | str = "shapes-clip", device: str = "cpu") -> Evaluator:
    """Similarity of every frame to the first."""
    from artv_eval.metrics.clipsim import AnchorSimilarity

    return AnchorSimilarity(_of_pictures(feature, device))


def anchor_drift(feature: TextImageExtractor | str = "shapes-clip", device: str = "cpu") -> Evaluator:
    """Loss of similarity to the first frame, a frame."""
    from artv_eval.metrics.clipsim import AnchorDrift

    return AnchorDrift(_of_pictures(feature, device))


def still_background_drift(name: str = "still_background_drift", device: str = "cpu") -> Evaluator:
    """Change of the still background, grey levels a frame."""
    from artv_eval.metrics.drift import DriftEvaluator

    return DriftEvaluator("change", name=name, device=device)


def sharpness_drift(device: str = "cpu") -> Evaluator:
    """Change of sharpness a frame, relative to the first."""
    from artv_eval.metrics.drift import DriftEvaluator

    return DriftEvaluator("sharpness", device=device)


def contrast_drift(device: str = "cpu") -> Evaluator:
    """Change of contrast a frame, relative to the first."""
    from artv_eval.metrics.drift import DriftEvaluator

    return DriftEvaluator("contrast", device=device)


def saturation_drift(device: str = "cpu") -> Evaluator:
    """Change of saturation a frame, relative to the first."""
    from artv_eval.metrics.drift import DriftEvaluator

    return DriftEvaluator("saturation", device=device)


def mask_auc() -> Evaluator:
    """Area under the ROC curve of the mask against the true motion region."""
    from artv_eval.metrics.mask import MaskEvaluator

    return MaskEvaluator("auc")


def mask_contrast() -> Evaluator:
    """Mean mask outside the true motion region minus inside."""
    from artv_eval.metrics.mask import MaskEvaluator

    return MaskEvaluator("contrast")


def caption(feature: AttributeClassifier | str = "shapes", device: str = "cpu") -> Evaluator:
    """Share of named colours that are recognised moving as the caption says."""
    from artv_eval.metrics.caption import CaptionEvaluator

    return CaptionEvaluator(find(feature, device), "caption")


def caption_colour(feature: AttributeClassifier | str = "shapes", device: str = "cpu") -> Evaluator:
    """Share of named colours that are recognised."""
    from artv_eval.metrics.caption import CaptionEvaluator

    return CaptionEvaluator(find(feature, device), "colour")


def caption_motion(feature: AttributeClassifier | str = "shapes", device: str = "cpu") -> Evaluator:
    """Share of named motions that are recognised."""
    from artv_eval.metrics.caption import CaptionEvaluator

    return CaptionEvaluator(find(feature, device), "motion")


def kvd(
    feature: FeatureExtractor | str = "shapes", transform: TransformSettings | None = None, device: str = "cpu"
) -> Evaluator:
    """Kernel video distance: polynomial MMD, unbiased."""
    from artv_eval.metrics.kvd import KvdEvaluator

    return KvdEvaluator(_of_clips(feature, device), transform=_transform(transform))


def jedi(
    feature: ClipClassifier | FeatureExtractor | str = "vjepa2",
    transform: TransformSettings | None = None,
    device: str = "cpu",
) -> Evaluator:
    """JEDi: polynomial MMD of V-JEPA features, its own extractor unless ``--set jedi.feature=`` says another."""
    from artv_eval.metrics.jedi import JediEvaluator

    return JediEvaluator(_of_clips(feature, device), transform=_transform(transform))


def inception_score(
    feature: ClipClassifier | str = "c3d",
    transform: TransformSettings | None = None,
    splits: Count = 10,
    device: str = "cpu",
) -> Evaluator:
    """Inception Score, the mean over ``splits``."""
    from artv_eval.metrics.inception import InceptionScoreEvaluator

    return InceptionScoreEvaluator(_of_clips(feature, device), transform=_transform(transform), splits=splits)


def frame_fid(feature: TextImageExtractor | str = "shapes-clip", ddof: Ddof = 1, device: str = "cpu") -> Evaluator:
    """FID of frames."""
    from artv_eval.metrics.frames import FrameFidEvaluator

    _check(ddof)
    return FrameFidEvaluator(_of_pictures(feature, device), ddof=ddof)


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


def flicker(device: str = "cpu") -> Evaluator:
    """Change of the still background from frame to frame, grey levels."""
    from artv_eval.metrics.frames import FlickerEvaluator

    return FlickerEvaluator(device)


def warping_error(weights: str | None = None, device: str = "cpu") -> Evaluator:
    """Warping error along RAFT's optical flow."""
    from artv_eval.metrics.warping import Raft, WarpingErrorEvaluator

    return WarpingErrorEvaluator(Raft(weights, device))


def seconds() -> Evaluator:
    """Wall-clock seconds a clip."""
    from artv_eval.metrics.seconds import SecondsEvaluator

    return SecondsEvaluator()
