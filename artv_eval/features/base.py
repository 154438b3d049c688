"""What a feature extractor is. Metrics know only these protocols.

Shape suffixes: B clips, T frames, C colour channels, H W pixels, D feature dimensions, N pictures.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, get_args, get_origin, runtime_checkable

from torch import Tensor


@runtime_checkable
class FeatureExtractor(Protocol):
    """Maps clips, uint8 (B, T, 3, H, W), to features, float32 (B, D). ``digest`` names weights and preprocessing.

    It can also have ``seen(clip)``: what it takes of each frame, see :class:`artv_eval.extras.ExtractorExtras`.
    """

    name: str
    digest: str
    dim: int

    def __call__(self, clip_BTCHW: Tensor) -> Tensor: ...


@runtime_checkable
class ClipClassifier(FeatureExtractor, Protocol):
    """An extractor whose features are the logits of ``dim`` classes."""


@runtime_checkable
class TextImageExtractor(Protocol):
    """Maps pictures, uint8 (N, 3, H, W), and sentences to one space: float32 (N, D) of unit length.

    It can also have ``unread(text)``: what of a sentence it does not see, as the end of a line, or None.
    """

    name: str
    digest: str
    dim: int

    def images(self, image_NCHW: Tensor) -> Tensor: ...

    def texts(self, texts: Sequence[str]) -> Tensor: ...


@runtime_checkable
class AttributeClassifier(Protocol):
    """Recognises what moves how: uint8 (B, T, 3, H, W) → scores (higher = more likely there).

    Returns ``colour`` (B, colours), ``shape`` (B, shapes) and ``pair`` (B, colours, motions).
    """

    name: str
    digest: str

    def attributes(self, clip_BTCHW: Tensor) -> dict[str, Tensor]: ...


def seen_by(extractor: Any, clip_BTCHW: Tensor) -> Tensor:
    """What an extractor with ``seen`` takes of a clip, floats (B, T, …): given that already, the same."""
    return clip_BTCHW if clip_BTCHW.is_floating_point() else extractor.seen(clip_BTCHW)


def described_by(annotation: Any) -> str | None:
    """``clips`` or ``pictures``: what an extractor of a setting with this annotation describes, None for a classifier.

    Without an annotation it is clips.
    """
    kinds = {get_origin(kind) or kind for kind in (*get_args(annotation), annotation)}
    if TextImageExtractor in kinds:
        return "pictures"
    return None if kinds & {AttributeClassifier, ClipClassifier} else "clips"


def digest_of(parts: Iterable[bytes | str]) -> str:
    """A short content hash (16 hex digits of sha256) of the parts in order."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "little"))
        sha.update(data)
    return sha.hexdigest()[:16]
