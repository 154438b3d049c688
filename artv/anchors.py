"""Which latent is the anchor of a frame: the picture that a whole clip is held to, against drift.

A strategy is asked once a frame, before it is made, and sees what has been made so far.

Shape suffixes: B samples, C latent channels, H W latent size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from artv.errors import UserError
from artv.files import read_bytes
from artv.named import named
from artv.requests import check_share, check_whole

if TYPE_CHECKING:  # a command checks its arguments before torch is imported
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Past:
    """What exists before frame ``index`` (from 0) of the whole video; latents are (B, C, H, W).

    ``prompt``: number of the current prompt. ``first``: the video's first frame. ``newest``: the latest frame.
    ``prompt_anchor``: the frame that the current prompt starts from (the video's first frame for prompt 0, then the
    last frame of the prompt before). ``current``: the anchor of the frame before, None at the start.
    """

    index: int
    prompt: int
    first: Tensor
    newest: Tensor
    prompt_anchor: Tensor
    current: Tensor | None


class AnchorStrategy(Protocol):
    """Chooses the anchor latent of the next frame, or None for no anchor."""

    def __call__(self, past: Past) -> Tensor | None: ...


@dataclass(frozen=True, kw_only=True)
class FirstFrame:
    """The first frame of the video, for every frame and prompt (the paper's for one prompt)."""

    def __call__(self, past: Past) -> Tensor | None:
        return past.first


@dataclass(frozen=True, kw_only=True)
class LastOfPrompt:
    """The first frame for prompt 1, then the last frame of the previous prompt (supplementary, Sec. 4)."""

    def __call__(self, past: Past) -> Tensor | None:
        return past.prompt_anchor


@dataclass(frozen=True, kw_only=True)
class Sliding:
    """The newest frame, taken anew every ``every`` frames."""

    every: int = 8

    def __post_init__(self) -> None:
        check_whole("anchor sliding: every", self.every)

    def __call__(self, past: Past) -> Tensor | None:
        if past.current is None or (past.index - 1) % self.every == 0:
            return past.newest
        return past.current


@dataclass(frozen=True, kw_only=True)
class Blend:
    """A running mixture: ``keep`` of the anchor so far and the rest of the newest frame."""

    keep: float = 0.9

    def __post_init__(self) -> None:
        check_share("anchor blend: keep", self.keep)

    def __call__(self, past: Past) -> Tensor | None:
        before = past.first if past.current is None else past.current
        return self.keep * before + (1 - self.keep) * past.newest


@dataclass(frozen=True, kw_only=True)
class GivenImage:
    """A latent that the user chose, (C, H, W) or (B, C, H, W)."""

    latent: Tensor

    def __call__(self, past: Past) -> Tensor | None:
        return self.latent.to(past.first).expand_as(past.first)


@dataclass(frozen=True, kw_only=True)
class UserImage:
    """A picture that the user chose: a file, a PIL image or uint8 (H, W, 3). The pipeline makes a latent of it."""

    picture: Any

    def __post_init__(self) -> None:
        if isinstance(self.picture, str) and not self.picture:
            raise UserError("anchor image names no picture; write image:FILE")

    def digest(self) -> str:
        """Digest of the picture's file: another one under the same name makes other clips.

        Raises:
            UserError: it is no picture.
        """
        from artv.images import open_image

        open_image(Path(self.picture))
        return hashlib.sha256(read_bytes(Path(self.picture))).hexdigest()[:16]

    def encoded(self, encode: Callable[[Any], Tensor]) -> GivenImage:
        """The strategy once ``encode`` (picture to latent) is there."""
        return GivenImage(latent=encode(self.picture))

    def __call__(self, past: Past) -> Tensor | None:
        raise TypeError("a picture has to be encoded before it is an anchor; see UserImage.encoded")


@dataclass(frozen=True, kw_only=True)
class NoAnchor:
    """No anchor: the condition is dropped."""

    def __call__(self, past: Past) -> Tensor | None:
        return None


ANCHORS: dict[str, Callable[..., AnchorStrategy]] = {
    "first": FirstFrame,
    "last-of-prompt": LastOfPrompt,
    "sliding": Sliding,
    "blend": Blend,
    "image": UserImage,
    "none": NoAnchor,
}


def anchor_strategy(anchor: str | Mapping[str, Any] | AnchorStrategy) -> AnchorStrategy:
    """A strategy by name (``"first"``, ``"image:FILE"``), mapping (``{"name": "sliding", "every": 4}``), or itself."""
    if callable(anchor):
        return anchor
    if isinstance(anchor, str) and anchor.partition(":")[0] == "image":
        anchor = {"name": "image", "picture": anchor.partition(":")[2]}
    return named("anchor", anchor, ANCHORS, default="first")
