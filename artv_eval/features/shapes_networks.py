"""The two small networks that judge the shapes world. Neither shares anything with the model's own networks.

Shape suffixes: B clips, T frames, C channels, H W pixels, D features, N pictures, L tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artv.data.shapes import COLOURS, MOTIONS, SHAPES, SPEEDS, TINTS
from artv.data.shapes_words import caption
from artv_eval.corruptions import CORRUPTIONS
from artv_eval.features.running import Parts, Stage, through

BACKGROUND = 48  # descriptors: 4 × 4 cells of 3 colours


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Widths of :class:`ShapesClassifier`; ``dim`` is the number of features FVD uses."""

    widths: tuple[int, int, int, int] = (32, 64, 96, 128)
    dim: int = 64
    hidden: int = 160

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``config.json``."""
        return asdict(self)


class ShapesClassifier(nn.Module):
    """3D convolutions over a clip, 64 pooled features, then heads for what is seen and how well.

    ``forward``: float (B, T, 3, 64, 64) in [0, 1], T ≥ 2 → dict of ``colour`` (B, 8), ``shape`` (B, 6), ``pair``
    (B, 8, 9), ``corruption`` (B, K) logits, ``strength`` (B, K) and ``background`` (B, 48). ``features`` → (B, 64),
    each of mean 0 and variance 1 over real clips. The corruption and background heads make the features keep what a
    classifier of objects would throw away: texture, sharpness, colour, steadiness.
    """

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, config: ClassifierConfig | None = None):
        super().__init__()
        self.config = config or ClassifierConfig()
        a, b, c, d = self.config.widths
        self.stages = nn.Sequential(
            _conv(3, a, (3, 3, 3), (1, 2, 2)),
            _conv(a, b, (3, 3, 3), (2, 2, 2)),
            _Residual(_conv(b, b, (3, 3, 3))),
            _conv(b, c, (3, 3, 3), (2, 2, 2)),
            _Residual(nn.Sequential(_conv(c, c, (1, 3, 3)), _conv(c, c, (3, 1, 1)))),
            _conv(c, d, (1, 3, 3), (1, 2, 2)),
            _Residual(nn.Sequential(_conv(d, d, (3, 1, 1)), _conv(d, d, (1, 3, 3)))),
        )
        self.layout = nn.Conv3d(d, 16, 1)
        self.pooled = nn.Linear(2 * d + 16 * 16, self.config.dim)
        sizes = self._sizes()
        self.heads = nn.Sequential(
            nn.Linear(self.config.dim, self.config.hidden),
            nn.SiLU(),
            nn.Linear(self.config.hidden, sum(sizes.values())),
        )
        self.register_buffer("feature_mean", torch.zeros(self.config.dim))
        self.register_buffer("feature_std", torch.ones(self.config.dim))

    @staticmethod
    def _sizes() -> dict[str, int]:
        kinds = len(CORRUPTIONS)
        return {
            "colour": len(COLOURS),
            "shape": len(SHAPES),
            "pair": len(COLOURS) * len(MOTIONS),
            "corruption": kinds,
            "strength": kinds,
            "background": BACKGROUND,
        }

    def raw_features(self, clip: Tensor | Parts) -> Tensor:
        """(B, dim) before standardisation; of a clip in parts nothing is held but what the convolutions span."""
        if isinstance(clip, Parts):
            parts = (_signed(part_BTCHW) for part_BTCHW in clip.parts)
            y_BCTHW = torch.cat(list(through(map(_in_time, self.stages), parts, clip.frames)), 2)
        else:
            y_BCTHW = self.stages(_signed(clip))
        layout = F.adaptive_avg_pool2d(self.layout(y_BCTHW).mean(2), 4).flatten(1)
        return self.pooled(torch.cat([y_BCTHW.mean((2, 3, 4)), y_BCTHW.amax((2, 3, 4)), layout], 1))

    def features(self, clip: Tensor | Parts) -> Tensor:
        """(B, dim), standardised on real clips."""
        return (self.raw_features(clip).float() - self.feature_mean) / self.feature_std

    def fuse(self) -> "ShapesClassifier":
        """This network for use, not training: normalisations folded into convolutions, channels last. Same numbers."""
        self.eval()
        for unit in self.modules():
            parts = list(unit) if isinstance(unit, nn.Sequential) else []
            if len(parts) == 3 and isinstance(parts[0], nn.Conv3d) and isinstance(parts[1], nn.BatchNorm3d):
                cast(nn.Sequential, unit)[0] = nn.utils.fuse_conv_bn_eval(parts[0], parts[1])
                cast(nn.Sequential, unit)[1] = nn.Identity()
        return self.to(memory_format=torch.channels_last_3d)

    def forward(self, clip: Tensor | Parts) -> dict[str, Tensor]:
        sizes = self._sizes()
        parts = self.heads(self.raw_features(clip)).float().split(list(sizes.values()), 1)
        out = dict(zip(sizes, parts, strict=True))
        out["pair"] = out["pair"].unflatten(1, (len(COLOURS), len(MOTIONS)))
        return out


class _Residual(nn.Module):
    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _signed(x_BTCHW: Tensor) -> Tensor:
    """(B, 3, T, H, W) in [−1, 1]."""
    return x_BTCHW.transpose(1, 2) * 2 - 1


def _in_time(layers: nn.Module) -> Stage:
    """Layers of which at most one sees more than a frame, and that one the frames next to it."""
    convolutions = [layer for layer in layers.modules() if isinstance(layer, nn.Conv3d)]
    stride = math.prod(layer.stride[0] for layer in convolutions)
    spans = any(layer.kernel_size[0] > 1 for layer in convolutions)
    return Stage(layers, stride, around=stride if spans else 0)


def _conv(cin: int, cout: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1)) -> nn.Sequential:
    t, h, w = (k // 2 for k in kernel)
    return nn.Sequential(
        nn.Conv3d(cin, cout, kernel, stride, (t, h, w), bias=False), nn.BatchNorm3d(cout), nn.SiLU(inplace=True)
    )


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Sizes of the small CLIP; ``bpe_ids`` are open_clip's token ids of the words it knows, ascending."""

    bpe_ids: tuple[int, ...]
    embed_dim: int = 64
    width: int = 96
    vision_layers: int = 4
    text_layers: int = 2
    patch: int = 8
    size: int = 64
    context: int = 40

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``config.json``."""
        return asdict(self)


class CompactTokenizer:
    """open_clip's tokenizer with its ids renumbered: 0 padding, 1 start, 2 unknown, 3 … words, last (highest) end.

    The end must be the highest id, because CLIP's text tower reads its output where the id is largest.
    """

    def __init__(self, bpe_ids: Sequence[int], context: int):
        import open_clip

        self.bpe = open_clip.SimpleTokenizer()
        self.index = {bpe: k for k, bpe in enumerate(bpe_ids, start=3)}
        self.context, self.vocab_size = context, len(bpe_ids) + 4

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """int64 (B, L); longer texts are cut so that the end token stays."""
        tokens = torch.zeros(len(texts), self.context, dtype=torch.int64)
        for row, text in zip(tokens, texts, strict=True):
            ids = [1, *(self.index.get(i, 2) for i in self.bpe.encode(text))][: self.context - 1]
            row[: len(ids) + 1] = torch.tensor([*ids, self.vocab_size - 1])
        return tokens

    def unknown(self, text: str) -> list[str]:
        """Words of which a part is outside the vocabulary, each once."""
        words = dict.fromkeys(text.split())
        return [word for word in words if any(token not in self.index for token in self.bpe.encode(word))]


@lru_cache
def world_bpe_ids(samples: int = 20000) -> tuple[int, ...]:
    """Ids, in open_clip's tokenizer, of the words in this many random captions of the shapes world (all of them)."""
    import open_clip

    rng = np.random.default_rng(0)
    sizes = (len(COLOURS), len(SHAPES), len(MOTIONS), len(SPEEDS))
    texts = set()
    for _ in range(samples):
        colours, shapes, motions, speeds = (rng.integers(size, size=2).tolist() for size in sizes)
        texts.add(caption(colours, shapes, motions, speeds, int(rng.integers(len(TINTS))), rng.random(16).tolist()))
    words = {word for text in texts for word in text.split()}
    encode = open_clip.SimpleTokenizer().encode
    return tuple(sorted({token for word in words for token in encode(word)}))


def build_clip(config: ClipConfig) -> Any:
    """open_clip's own CLIP class at this size."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    head = 32
    return CLIP(
        embed_dim=config.embed_dim,
        vision_cfg=CLIPVisionCfg(
            layers=config.vision_layers,
            width=config.width,
            head_width=head,
            patch_size=config.patch,
            image_size=config.size,
        ),
        text_cfg=CLIPTextCfg(
            context_length=config.context,
            vocab_size=len(config.bpe_ids) + 4,
            width=config.width,
            heads=config.width // head,
            layers=config.text_layers,
        ),
    )
