"""Conventions for video files that no other protocol is said for: those of most published numbers, all of them printed.

artv-eval score --real DIR --fake DIR --metrics fvd,clipsim        # by protocol files
"""

import json
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from artv.errors import UserError
from artv.yaml_models import YamlModel
from artv_eval.features.base import digest_of
from artv_eval.features.preprocess import Transform
from artv_eval.metrics.headline import ANY_VIDEO


class FileFrames(YamlModel):
    """The frames of a file that count; ``fps`` None: its own rate."""

    lengths: ClassVar[str] = "same"  # no field: the hash is older than what other cards may say here
    number: int = 16
    fps: float | None = None
    stride: int = 1


class FileReference(YamlModel):
    """The real files: all of them, the ``which`` part of each."""

    dataset: str = "files"
    which: str = "first"
    transform: Transform | None = None


class FilesCard(YamlModel):
    """All conventions; every field is in the hash."""

    name: str = "files"
    frames: FileFrames = FileFrames()
    reference: FileReference = FileReference()
    features: dict[str, Any] = {"feature": {"name": "i3d"}, "ddof": 1}
    clip: dict[str, Any] = {"feature": {"name": "clip", "model": "ViT-B-32", "pretrained": "openai"}}
    bad_files: float = 0.01


class FilesProtocol:
    """``score``'s protocol for files without another. It has no prompts: there is nothing to generate by it."""

    name = "files"
    metrics: Sequence[str] = ()

    def __init__(self) -> None:
        self.card = FilesCard()
        self.bad_files = self.card.bad_files
        self.metric_choices = {"drift": {"measure": ANY_VIDEO}}
        self.extractor_settings = {"clips": self.card.features, "pictures": self.card.clip}
        self.hash = digest_of([json.dumps(self.card.model_dump(mode="json"), sort_keys=True)])[:12]

    def requests(self, num: int | None = None, frames: int | None = None, seed: int = 0) -> NoReturn:
        """Raises UserError."""
        raise UserError("protocol files scores video files that are there; give another one to make clips by")

    def reference(self) -> NoReturn:
        """Raises UserError."""
        raise UserError("protocol files has no reference clips of its own; give them with --real")

    def conventions(self) -> str:
        """All of them in one line."""
        frames, card = self.card.frames, self.card
        rate = "each file's own rate" if frames.fps is None else f"{frames.fps:g} fps"
        clip = card.clip["feature"]
        return (
            f"protocol files: of every clip the {card.reference.which} {frames.number} frames at {rate}, every "
            f"{'' if frames.stride == 1 else f'{frames.stride}th '}frame, scaled by the extractor alone; clips by the "
            f"logits of {card.features['feature']['name']}, covariance over n - {card.features['ddof']}; pictures and "
            f"captions by {clip['name']} {clip['model']} ({clip['pretrained']}); metrics are withheld above "
            f"{card.bad_files:.0%} of unreadable files; options and --set change this, and then the hash"
        )
