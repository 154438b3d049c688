"""The encoder half of an autoencoder, for the many frames of a training set: channels-last, with fused norms.

Half precision, where it is asked for, is that of weights and of maps in memory; sums are of float32 in convolutions, in
norms and in attention. float16 has as many digits as TF32, to which cuDNN rounds what float32 convolutions multiply.

No convolution's bias is a pass of its own: it joins the norm that follows, and the sum of the residual block that
begins with that norm; the last one joins the matrix behind it. Until then the map in memory *lacks* it.

Shape suffixes: N frames, C channels, H W pixels or feature size, h w latent size, M = H·W positions.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from artv.networks.fast.blocks import Conv, GroupNorm, Linear
from artv.networks.fast.kernels import Moments, Shift, add_measured, add_padded, attention, convolve_frames

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

_PIXELS = 2**22
"""The most that are encoded at once, of all frames; the widest map has 128 channels a pixel (fp16: 1 GiB)."""

Measured = tuple[Tensor, Moments | None]
"""A map and, where the kernel that made it has taken them, its moments: each layer takes and gives one."""


class InferenceEncoder:
    """Scaled latents of frames, as :func:`artv.autoencoder.encode_frames` has them up to rounding.

    Args:
        autoencoder: its weights are copied, so later changes are not seen.
    """

    def __init__(self, autoencoder: AutoencoderKL, dtype: torch.dtype = torch.float32) -> None:
        encoder = copy.deepcopy(autoencoder.encoder).to(dtype).requires_grad_(False)
        self._first, self._layers = Conv(encoder.conv_in), list[Any]()
        lacks: Tensor | None = self._first.bias
        for block in encoder.down_blocks:
            halvings = [Conv(module.conv) for module in block.downsamplers or ()]
            for resnet in block.resnets:
                padded = bool(halvings) and resnet is block.resnets[-1]
                self._layers.append(_Resnet(resnet, lacks, padded=padded))
                lacks = None
            for conv in halvings:
                self._layers.append(_Halving(conv))
                lacks = conv.bias
        first, *rest = encoder.mid_block.resnets
        self._layers.append(_Resnet(first, lacks))
        for module, resnet in zip(encoder.mid_block.attentions, rest, strict=True):
            self._layers += [_Attention(module)] if module is not None else []
            self._layers.append(_Resnet(resnet))
        self._norm_out, self._conv_out = GroupNorm(encoder.conv_norm_out), Conv(encoder.conv_out)
        self._mode = _mode(autoencoder)

    def __call__(self, frames_N3HW: Tensor) -> Tensor:
        """float32 latents (N, 4, h, w) of uint8 frames: the posterior's mode."""
        at_once = max(1, _PIXELS // frames_N3HW[0, 0].numel())
        return torch.cat([self._encoded(some) for some in frames_N3HW.split(at_once)])

    def _encoded(self, frames_N3HW: Tensor) -> Tensor:
        x = convolve_frames(frames_N3HW, self._first.weight)
        moments: Moments | None = None
        for layer in self._layers:
            x, moments = layer(x, moments)
        x = self._conv_out.without_bias(self._norm_out.silu(x, moments=moments))
        return F.linear(x.permute(0, 2, 3, 1).float(), *self._mode).permute(0, 3, 1, 2).contiguous()


def _mode(autoencoder: AutoencoderKL) -> tuple[Tensor, Tensor]:
    """The matrix and the bias, in float32, that make scaled latents of what the last convolution gives without its own
    bias: the first half of the posterior's moments.
    """
    bias = autoencoder.encoder.conv_out.bias.detach().float()
    channels = len(bias) // 2
    if autoencoder.quant_conv is None:
        matrix, offset = torch.eye(channels, len(bias), device=bias.device), bias[:channels]
    else:
        matrix = autoencoder.quant_conv.weight.detach().float().flatten(1)[:channels]
        offset = matrix @ bias + autoencoder.quant_conv.bias.detach().float()[:channels]
    scale = autoencoder.config.scaling_factor
    return matrix * scale, offset * scale


class _Resnet:
    """diffusers' ``ResnetBlock2D`` without a time. The first convolution's bias joins the norm behind it, the others
    the sum.

    ``lacks``: what is still to be added to the map. ``padded``: for a halving, which diffusers pads below and on the
    right only.
    """

    def __init__(self, block: Any, lacks: Tensor | None = None, *, padded: bool = False) -> None:
        self.norm1, self.norm2 = GroupNorm(block.norm1), GroupNorm(block.norm2)
        self.conv1, self.conv2 = Conv(block.conv1), Conv(block.conv2)
        self.shortcut = None if block.conv_shortcut is None else Conv(block.conv_shortcut)
        bias = self.conv2.bias.float()
        if lacks is not None:  # a 1 × 1 convolution makes a constant of a constant
            bias = bias + (lacks.float() if self.shortcut is None else self.shortcut.matrix.float() @ lacks.float())
        if self.shortcut is not None:
            bias = bias + self.shortcut.bias.float()
        self.ahead = None if lacks is None else Shift.same(lacks)
        self.between, self.behind = Shift.same(self.conv1.bias), Shift.same(bias.to(self.conv2.bias.dtype))
        self.padded = padded

    def __call__(self, x: Tensor, moments: Moments | None) -> Measured:
        h = self.conv1.without_bias(self.norm1.silu(x, self.ahead, moments=moments))
        h = self.conv2.without_bias(self.norm2.silu(h, self.between))
        x = x if self.shortcut is None else self.shortcut.without_bias(x)
        return (add_padded(h, x, self.behind), None) if self.padded else add_measured(h, x, self.behind)


class _Halving:
    """diffusers' ``Downsample2D`` of a map that is padded, without its bias."""

    def __init__(self, conv: Conv) -> None:
        self.conv = conv

    def __call__(self, x: Tensor, _: Moments | None) -> Measured:
        return self.conv.without_bias(x), None


class _Attention:
    """diffusers' ``Attention`` over a map's positions with its norm and residual."""

    def __init__(self, module: Any) -> None:
        self.norm, self.heads = GroupNorm(module.group_norm), module.heads
        self.qkv, self.out = Linear(module.to_q, module.to_k, module.to_v), Linear(module.to_out[0])

    def __call__(self, x: Tensor, moments: Moments | None) -> Measured:
        N, C, H, W = x.shape
        tokens_NMC = self.norm(x, moments=moments).permute(0, 2, 3, 1).reshape(N, H * W, C)
        parts = self.qkv(tokens_NMC).unflatten(-1, (3, self.heads, -1))  # N, M, 3, heads, width
        q, k, v = (each.transpose(1, 2) for each in parts.unbind(2))
        return x + self.out(attention(q, k, v)).view(N, H, W, C).permute(0, 3, 1, 2), None
