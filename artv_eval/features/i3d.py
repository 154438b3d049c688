"""I3D (Carreira & Zisserman 2017, "Quo Vadis", Fig. 3): Inception-v1 inflated to 3D, which most FVD values rest on.

The module names are those of the public PyTorch port, so ``i3d_pretrained_400.pt`` loads unchanged. Every convolution
and pooling pads as TensorFlow's ``SAME`` does: the odd pixel goes to the back.

    network = InceptionI3d()
    network.load_state_dict(torch.load("i3d_pretrained_400.pt", weights_only=True))
    logits = network.eval()(video)        # (B, 3, T, 224, 224) in [-1, 1] -> (B, 400)

Shape suffixes: B clips, C channels, T frames, H W pixels, D features.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from artv.errors import UserError
from artv.files import regular
from artv.requests import MOST_PIXELS
from artv_eval.features.base import digest_of, seen_by
from artv_eval.features.precision import PRECISIONS, Precision, inference
from artv_eval.features.preprocess import Filter, resize
from artv_eval.features.running import WHOLE, Parts, Stage, part_on, through
from artv_eval.features.weights import find

Size = tuple[int, int, int]

# name: widths of the branches 1×1 | 1×1 → 3×3×3 | 1×1 → 3×3×3 | pool → 1×1; pools: (kernel, stride)
MIXED: dict[str, tuple[int, ...]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
POOL_BEFORE: dict[str, tuple[Size, Size]] = {
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}
MIN_FRAMES = 9  # fewer leave one time step for the last pooling over two
LEAST_SIZE = 193  # fewer pixels leave fewer than 7 × 7 places for the last pooling


def same_padding(size: Sequence[int], kernel: Size, stride: Size) -> list[tuple[int, int]]:
    """TensorFlow's ``SAME``: (front, back) for each axis, so that the output has ceil(size / stride) places."""
    totals = [max(k - (s if n % s == 0 else n % s), 0) for n, k, s in zip(size, kernel, stride, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


class Unit3D(nn.Module):
    """Convolution, batch normalisation and ReLU; ``plain`` leaves the latter two out and adds a bias."""

    def __init__(self, cin: int, cout: int, kernel: Size = (1, 1, 1), stride: Size = (1, 1, 1), *, plain: bool = False):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(cin, cout, kernel, stride, bias=plain)
        if not plain:
            self.bn: nn.Module = nn.BatchNorm3d(cout, eps=1e-5, momentum=0.001)
        self.plain = plain

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        (t0, t1), (h0, h1), (w0, w1) = same_padding(x_BCTHW.shape[2:], self.kernel, self.stride)
        padding: Any = (t0, h0, w0)
        if (t0, h0, w0) != (t1, h1, w1):
            x_BCTHW, padding = F.pad(x_BCTHW, (w0, w1, h0, h1, t0, t1)), 0
        conv = self.conv3d
        y = F.conv3d(x_BCTHW, conv.weight, conv.bias, self.stride, padding)
        return y if self.plain else F.relu_(self.bn(y))

    def fuse(self) -> None:
        """Folds the batch normalisation (in evaluation mode) into the convolution: the same numbers, one pass less."""
        if self.plain or isinstance(self.bn, nn.Identity):
            return
        self.conv3d = nn.utils.fuse_conv_bn_eval(self.conv3d, cast(nn.BatchNorm3d, self.bn))
        self.bn = nn.Identity()


def max_pool_same(x_BCTHW: Tensor, kernel: Size, stride: Size) -> Tensor:
    """Maximum over ``SAME`` windows. Its inputs are outputs of a ReLU, so zeros outside change nothing."""
    (t0, t1), (h0, h1), (w0, w1) = same_padding(x_BCTHW.shape[2:], kernel, stride)
    return F.max_pool3d(F.pad(x_BCTHW, (w0, w1, h0, h1, t0, t1)), kernel, stride)


class InceptionModule(nn.Module):
    """Four branches side by side."""

    def __init__(self, cin: int, widths: tuple[int, ...]):
        super().__init__()
        a, b0, b, c0, c, d = widths
        self.b0 = Unit3D(cin, a)
        self.b1a, self.b1b = Unit3D(cin, b0), Unit3D(b0, b, (3, 3, 3))
        self.b2a, self.b2b = Unit3D(cin, c0), Unit3D(c0, c, (3, 3, 3))
        self.b3b = Unit3D(cin, d)
        self.width = a + b + c + d

    def forward(self, x: Tensor) -> Tensor:
        # a window of 3 at stride 1 needs no asymmetric padding, and −∞ outside is as good as 0
        pooled = F.max_pool3d(x, 3, 1, 1)
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], 1)


class InceptionI3d(nn.Module):
    """(B, 3, T, 224, 224) in [−1, 1], T ≥ 9 → (B, ``num_classes``) logits, mean over time."""

    def __init__(self, num_classes: int = 400, in_channels: int = 3):
        super().__init__()
        self.Conv3d_1a_7x7 = Unit3D(in_channels, 64, (7, 7, 7), (2, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(64, 64)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, (3, 3, 3))
        width = 192
        for name, widths in MIXED.items():
            module = InceptionModule(width, widths)
            self.add_module(name, module)
            width = module.width
        self.logits = Unit3D(width, num_classes, plain=True)

    def pooled(self, x_BCTHW: Tensor) -> Tensor:
        """(B, 1024, T', 1, 1): after the average pooling, before the logits; a long clip goes through in parts."""
        T = x_BCTHW.shape[2]
        if T > WHOLE:
            return self.pooled_in_parts(x_BCTHW.split(part_on(x_BCTHW.device), 2), T)
        return F.avg_pool3d(self.maps(x_BCTHW), (2, 7, 7), 1)

    def pooled_in_parts(self, parts: Iterable[Tensor], frames: int) -> Tensor:
        """The same of a clip of so many frames that comes in parts, (B, 3, t, H, W)."""
        places = [F.avg_pool3d(maps, (1, 7, 7), 1) for maps in through(self.stages(frames), parts, frames)]
        return F.avg_pool3d(torch.cat(places, 2), (2, 1, 1), 1)

    def maps(self, x_BCTHW: Tensor) -> Tensor:
        """(B, 1024, T / 8, H / 32, W / 32): before the pooling."""
        for stage in self.stages(x_BCTHW.shape[2]):
            x_BCTHW = stage.work(x_BCTHW)
        return x_BCTHW

    def stages(self, frames: int) -> Iterator[Stage]:
        """Its layers, for a clip of so many frames."""
        if frames < MIN_FRAMES:
            raise UserError(f"clips of {frames} frames; I3D needs at least {MIN_FRAMES}")
        yield Stage(lambda x: max_pool_same(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2)), stride=2, around=4)
        yield Stage(lambda x: self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), around=1)
        for name in MIXED:
            if name in POOL_BEFORE:
                kernel, stride = POOL_BEFORE[name]
                pool = partial(max_pool_same, kernel=kernel, stride=stride)
                yield Stage(pool, stride=stride[0], around=stride[0] if kernel[0] > 1 else 0)
            yield Stage(getattr(self, name), around=1)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        return self.logits(self.pooled(x_BCTHW)).mean((2, 3, 4))

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """(B, 1024): pooled features, mean over time."""
        return self.pooled(x_BCTHW).mean((2, 3, 4))

    def fuse(self) -> "InceptionI3d":
        """This network, in evaluation mode, with every batch normalisation folded into its convolution."""
        self.eval()
        for module in self.modules():
            if isinstance(module, Unit3D):
                module.fuse()
        return self


class I3dFeatures:
    """I3D as an extractor: resize to ``size``, scale to [−1, 1], logits or pooled features.

    Of a long clip nothing is held but what the convolutions span: a few frames.

    Args:
        network: with its weights.
        digest: names the weights.
        layer: ``logits`` (400, what most published FVD uses) or ``pooled`` (1024).
        size, filter: of the resize; the public code's is 224, bilinear without antialiasing.
        precision: ``float32``, or ``tf32``: faster on GPUs that have it, and another number in the fourth digit.
        device: where it runs.
    """

    in_parts = True

    def __init__(
        self,
        network: InceptionI3d,
        digest: str,
        *,
        layer: str = "logits",
        size: int = 224,
        filter: str = "bilinear",
        precision: str = "float32",
        device: str = "cpu",
    ):
        if layer not in ("logits", "pooled"):
            raise UserError(f"i3d.layer is {layer!r}; it must be logits or pooled")
        if precision not in PRECISIONS:
            raise UserError(f"i3d.precision is {precision!r}; it must be {' or '.join(PRECISIONS)}")
        # what the convolutions are fastest in: channels last on CPUs and tensor cores
        plain = torch.device(device).type == "cuda" and precision == "float32"
        self.memory_format = torch.contiguous_format if plain else torch.channels_last_3d
        self.network = network.fuse().to(device).to(memory_format=self.memory_format)
        self.layer, self.size, self.filter, self.precision, self.device = layer, size, filter, precision, device
        self.name = "i3d" if layer == "logits" else "i3d-pooled"
        self.digest = digest_of([digest, layer, str(size), filter, *([] if precision == "float32" else [precision])])
        self.dim = network.logits.conv3d.out_channels if layer == "logits" else network.logits.conv3d.in_channels

    def __call__(self, clip: Tensor | Parts) -> Tensor:
        """(B, D) float32 on the CPU."""
        with inference(self.precision):
            if isinstance(clip, Parts):
                pooled = self.network.pooled_in_parts(map(self._laid_out, clip.parts), clip.frames)
            else:
                pooled = self.network.pooled(self._laid_out(seen_by(self, clip)))
            found = self.network.logits(pooled) if self.layer == "logits" else pooled
            return found.mean((2, 3, 4)).float().cpu()

    def _laid_out(self, seen_BTCHW: Tensor) -> Tensor:
        """(B, 3, T, H, W), as the convolutions want it in memory."""
        return seen_BTCHW.transpose(1, 2).contiguous(memory_format=self.memory_format)

    def seen(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, T, 3, size, size) in [−1, 1]."""
        clip_BTCHW = clip_BTCHW.to(self.device, non_blocking=clip_BTCHW.is_pinned())
        return prepare(clip_BTCHW, self.size, self.filter)


def prepare(clip_BTCHW: Tensor, size: int, filter: str) -> Tensor:
    """uint8 (B, T, 3, H, W) → float (B, T, 3, size, size) in [−1, 1]; resized as floats, as the public code does."""
    x = resize(clip_BTCHW.flatten(0, 1).float(), (size, size), filter).unflatten(0, clip_BTCHW.shape[:2])
    return x * (2 / 255) - 1


class TorchScriptI3d:
    """The public TorchScript detector (StyleGAN-V's), which resizes and scales by itself; 400 logits."""

    name, dim = "i3d-torchscript", 400

    def __init__(self, path: str, digest: str, device: str = "cpu"):
        try:
            self.network = torch.jit.load(regular(path), map_location=device).eval()
        except RuntimeError as error:
            raise UserError(f"{path} is no TorchScript file: {str(error).splitlines()[0]}") from None
        self.digest, self.device = digest, device

    @inference()
    def __call__(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, 400) float32 on the CPU."""
        video = clip_BTCHW.to(self.device).transpose(1, 2).contiguous()
        return self.network(video, rescale=True, resize=True, return_features=True).float().cpu()


def i3d(
    weights: str | None = None,
    layer: Literal["logits", "pooled"] = "logits",
    size: Annotated[int, Field(ge=LEAST_SIZE, le=MOST_PIXELS)] = 224,
    filter: Filter = "bilinear",
    precision: Precision = "float32",
    device: str = "cpu",
) -> I3dFeatures:
    """Factory of the ``i3d`` features. ``weights``: ``i3d_pretrained_400.pt``, by default where ``doctor`` says."""
    path, digest = find("i3d", weights)
    with torch.device("meta"):
        network = InceptionI3d()
    try:
        network.load_state_dict(torch.load(regular(path), map_location="cpu", weights_only=True), assign=True)
    except Exception as error:
        raise UserError(f"{path} does not hold I3D's weights: {str(error).splitlines()[0][:160]}") from None
    return I3dFeatures(network, digest, layer=layer, size=size, filter=filter, precision=precision, device=device)


def i3d_torchscript(weights: str | None = None, device: str = "cpu") -> TorchScriptI3d:
    """Factory of the ``i3d-torchscript`` features. ``weights``: ``i3d_torchscript.pt``."""
    path, digest = find("i3d-torchscript", weights)
    return TorchScriptI3d(str(path), digest, device)
