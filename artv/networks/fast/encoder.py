"""The encoder half of an autoencoder, for the many frames of a training set: channels-last, with fused norms.

Half precision, where it is asked for, is that of weights and of maps in memory; sums are of float32 in convolutions, in
norms and in attention. float16 has as many digits as TF32, to which cuDNN rounds what float32 convolutions multiply.

Shape suffixes: N frames, C channels, H W pixels or feature size, h w latent size, M = H·W positions.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from artv.autoencoder import to_unit
from artv.networks.fast.blocks import Conv, GroupNorm, Linear
from artv.networks.fast.kernels import Shift, add_shifted

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

_PIXELS = 2**22
"""The most that are encoded at once, of all frames; the widest map has 128 channels a pixel (fp16: 1 GiB)."""


class InferenceEncoder:
    """Scaled latents of frames, as :func:`artv.autoencoder.encode_frames` has them up to rounding.

    Args:
        autoencoder: its weights are copied, so later changes are not seen.
    """

    def __init__(self, autoencoder: AutoencoderKL, dtype: torch.dtype = torch.float32) -> None:
        encoder = copy.deepcopy(autoencoder.encoder).to(dtype).requires_grad_(False)
        self._dtype, self._scale = dtype, autoencoder.config.scaling_factor
        self._layers: list[Any] = [Conv(encoder.conv_in)]
        for block in encoder.down_blocks:
            self._layers += map(_Resnet, block.resnets)
            self._layers += map(_Halving, block.downsamplers or ())
        first, *rest = encoder.mid_block.resnets
        self._layers.append(_Resnet(first))
        for attention, resnet in zip(encoder.mid_block.attentions, rest, strict=True):
            self._layers += [_Attention(attention)] if attention is not None else []
            self._layers.append(_Resnet(resnet))
        self._norm_out, self._conv_out = GroupNorm(encoder.conv_norm_out), Conv(encoder.conv_out)
        self._moments = autoencoder.quant_conv  # of eight channels, in float32

    def __call__(self, frames_N3HW: Tensor) -> Tensor:
        """float32 latents (N, 4, h, w) of uint8 frames: the posterior's mode."""
        at_once = max(1, _PIXELS // frames_N3HW[0, 0].numel())
        return torch.cat([self._encoded(some) for some in frames_N3HW.split(at_once)])

    def _encoded(self, frames_N3HW: Tensor) -> Tensor:
        x = to_unit(frames_N3HW).to(self._dtype, memory_format=torch.channels_last)
        for layer in self._layers:
            x = layer(x)
        x = self._conv_out(self._norm_out.silu(x)).float()
        moments = x if self._moments is None else self._moments(x)
        return moments.chunk(2, dim=1)[0] * self._scale


class _Resnet:
    """diffusers' ``ResnetBlock2D`` without a time. The first convolution's bias joins the norm behind it, the others
    the sum.
    """

    def __init__(self, block: Any) -> None:
        self.norm1, self.norm2 = GroupNorm(block.norm1), GroupNorm(block.norm2)
        self.conv1, self.conv2 = Conv(block.conv1), Conv(block.conv2)
        self.shortcut = None if block.conv_shortcut is None else Conv(block.conv_shortcut)
        bias = self.conv2.bias if self.shortcut is None else self.conv2.bias + self.shortcut.bias
        self.between, self.behind = Shift.same(self.conv1.bias), Shift.same(bias)

    def __call__(self, x: Tensor) -> Tensor:
        h = self.conv1.without_bias(self.norm1.silu(x))
        h = self.conv2.without_bias(self.norm2.silu(h, self.between))
        return add_shifted(h, x if self.shortcut is None else self.shortcut.without_bias(x), self.behind)


class _Halving:
    """diffusers' ``Downsample2D`` of autoencoders, which pads below and on the right only."""

    def __init__(self, module: Any) -> None:
        self.conv = Conv(module.conv)

    def __call__(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class _Attention:
    """diffusers' ``Attention`` over a map's positions with its norm and residual."""

    def __init__(self, module: Any) -> None:
        self.norm, self.heads = GroupNorm(module.group_norm), module.heads
        self.qkv, self.out = Linear(module.to_q, module.to_k, module.to_v), Linear(module.to_out[0])

    def __call__(self, x: Tensor) -> Tensor:
        N, C, H, W = x.shape
        tokens_NMC = self.norm(x).permute(0, 2, 3, 1).reshape(N, H * W, C)
        parts = self.qkv(tokens_NMC).unflatten(-1, (3, self.heads, -1))  # N, M, 3, heads, width
        q, k, v = (each.transpose(1, 2) for each in parts.unbind(2))
        y = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + y.view(N, H, W, C).permute(0, 3, 1, 2)
