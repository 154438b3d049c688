"""The blocks of a network over the fused operations: the same modules and weights, another walk through them.

A block is turned into its fast twin by its class alone, so that whatever holds it notices nothing.

Shape suffixes: B batch, C channels, H W feature size, N positions, L text tokens, D text width.
"""

from typing import Any

import torch.nn.functional as F
from diffusers.models.adapter import AdapterResnetBlock
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from artv.networks.anchor_block import AnchorBlock
from artv.networks.conditional_unet import ConditionalUNet
from artv.networks.fast.kernels.launching import runs_on
from artv.training.fast.attention import attention
from artv.training.fast.maps import group_norm, joined_group_norm
from artv.training.fast.resampling import double, halve
from artv.training.fast.tokens import (
    add_bias_,
    add_layer_norm,
    feed_forward,
    linear_of_two,
    linears,
    project,
    residual,
)


def use_fast_blocks(model: nn.Module) -> bool:
    """Turns a network's blocks into their fast twins, in place, where kernels run; says whether it did."""
    if not runs_on(next(model.parameters())):
        return False
    for module in model.modules():
        twin = _TWINS.get(type(module))
        if twin is not None and twin.suits(module):
            module.__class__ = twin
    return True


class FastGroupNorm(nn.GroupNorm):
    """A group norm on its own."""

    suits = staticmethod(lambda norm: norm.affine)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) to the same, channels-last, in the dtype that it comes in."""
        return _norm(x_BCHW, self)[1]


class FastConvolution(nn.Conv2d):
    """A convolution on its own: the gradient of its bias is summed in one pass."""

    @staticmethod
    def suits(conv: Any) -> bool:
        """Whether it has a bias."""
        return conv.bias is not None and conv.padding_mode == "zeros"

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The same as :class:`nn.Conv2d`, channels-last."""
        return add_bias_(_convolved(x_BCHW, self), self.bias)  # type: ignore[arg-type]


class FastAdapterResnet(AdapterResnetBlock):
    """A residual block of an adapter."""

    suits = staticmethod(lambda block: True)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The same as :class:`AdapterResnetBlock`."""
        h_BCHW = add_bias_(_convolved(x_BCHW, self.block1), self.block1.bias, relu=True)
        h_BCHW = _convolved(h_BCHW, self.block2)
        return _map(residual(_tokens(x_BCHW), _tokens(h_BCHW), self.block2.bias), x_BCHW)


class FastUpsample(Upsample2D):
    """Doubling, then a convolution."""

    @staticmethod
    def suits(block: Any) -> bool:
        """Whether it is SD-2.1's kind."""
        plain = block.norm is None and not block.use_conv_transpose and block.interpolate
        return plain and block.use_conv and block.name == "conv"

    def forward(self, x_BCHW: Tensor) -> Tensor:  # type: ignore[override]
        """The same as :class:`Upsample2D`."""
        return self.conv(double(x_BCHW))


class FastPool(nn.AvgPool2d):
    """Means of 2 × 2 positions."""

    @staticmethod
    def suits(pool: Any) -> bool:
        """Whether that is what it does."""
        return pool.kernel_size == pool.stride == 2 and pool.padding == 0

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The same as :class:`nn.AvgPool2d`."""
        even = x_BCHW.shape[-1] % 2 == x_BCHW.shape[-2] % 2 == 0
        return halve(x_BCHW) if even else super().forward(x_BCHW)


class FastResnet(ResnetBlock2D):
    """Biases are added where a kernel passes anyway: the first one with the timestep's shift, the others at the end."""

    @staticmethod
    def suits(block: Any) -> bool:
        """Whether it is one of SD-2.1's kind."""
        plain = block.time_embedding_norm == "default" and block.output_scale_factor == 1 and not block.skip_time_act
        return plain and block.upsample is None and block.downsample is None and block.dropout.p == 0

    def forward(self, x_BCHW: Tensor | tuple[Tensor, Tensor], time_BD: Tensor) -> Tensor:
        """The same as :class:`ResnetBlock2D`, also of two maps that were to be put together."""
        if isinstance(x_BCHW, tuple):
            (x_BCHW, skip_BCHW), h_BCHW = joined_group_norm(x_BCHW, *_settings(self.norm1), silu=True)
            x_BNC = linear_of_two(_tokens(x_BCHW), _tokens(skip_BCHW), self.conv_shortcut.weight.flatten(1))
        else:
            x_BCHW, h_BCHW = _norm(x_BCHW, self.norm1, silu=True)
            x_BNC = _tokens(x_BCHW if self.conv_shortcut is None else F.conv2d(x_BCHW, self.conv_shortcut.weight))
        h_BCHW = F.conv2d(h_BCHW, self.conv1.weight, padding=self.conv1.padding)
        shift_BC = self.time_emb_proj(F.silu(time_BD)).float() + self.conv1.bias
        _, h_BCHW = _norm(h_BCHW, self.norm2, silu=True, shift_BC=shift_BC)
        h_BCHW = F.conv2d(h_BCHW, self.conv2.weight, padding=self.conv2.padding)
        bias_C = self.conv2.bias if self.conv_shortcut is None else self.conv2.bias + self.conv_shortcut.bias
        return _map(residual(x_BNC, _tokens(h_BCHW), bias_C), h_BCHW)


class FastTransformer(Transformer2DModel):
    """Self-attention, attention to the text and GEGLU, as SD-2.1 has them."""

    @staticmethod
    def suits(block: Any) -> bool:
        """Whether its layers are SD-2.1's."""
        layers = block.transformer_blocks
        return block.is_input_continuous and block.use_linear_projection and all(_plain(layer) for layer in layers)

    def forward(self, x_BCHW: Tensor, encoder_hidden_states: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """The same as :class:`Transformer2DModel`, which returns a tuple of one."""
        x_BCHW, normed = _norm(x_BCHW, self.norm)
        h_BNC, held_C = _enter(_tokens(normed), self.proj_in)
        for layer in self.transformer_blocks:
            h_BNC, y_BNC = _add_norm(h_BNC, None, held_C, layer.norm1)
            a_BNC = _attend(layer.attn1, y_BNC, y_BNC)
            h_BNC, y_BNC = _add_norm(h_BNC, a_BNC, layer.attn1.to_out[0].bias, layer.norm2)
            a_BNC = _attend(layer.attn2, y_BNC, encoder_hidden_states.to(y_BNC.dtype))
            h_BNC, y_BNC = _add_norm(h_BNC, a_BNC, layer.attn2.to_out[0].bias, layer.norm3)
            h_BNC, held_C = _add_geglu(h_BNC, y_BNC, layer.ff)
        return (_map(project(_tokens(x_BCHW), h_BNC, self.proj_out.weight, self.proj_out.bias, held_C), x_BCHW),)


class FastAnchorBlock(AnchorBlock):
    """An anchor block."""

    suits = staticmethod(lambda block: True)

    def keys_values(self, anchor_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """The same as :meth:`AnchorBlock.keys_values`."""
        _, y_BMC = _add_norm(_tokens(anchor_BCHW), None, None, self.norm_anchor)
        k, v = linears(y_BMC, self.to_k.weight, self.to_v.weight)
        return self._heads(k), self._heads(v)

    def forward(self, x_BCHW: Tensor, keys_values: tuple[Tensor, Tensor], keep_B: Tensor) -> Tensor:
        """The same as :meth:`AnchorBlock.forward`."""
        x_BCHW, normed = _norm(x_BCHW, self.norm)
        h_BNC, held_C = _enter(_tokens(normed), self.proj_in)
        h_BNC, y_BNC = _add_norm(h_BNC, None, held_C, self.norm_attention)
        a_BHND = attention(self._heads(F.linear(y_BNC, self.to_q.weight)), *keys_values)
        a_BNC = F.linear(a_BHND.transpose(1, 2).flatten(2), self.to_out.weight)
        h_BNC, y_BNC = _add_norm(h_BNC, a_BNC, self.to_out.bias, self.norm_feed_forward)
        h_BNC, held_C = _add_geglu(h_BNC, y_BNC, self.feed_forward)
        return _map(project(_tokens(x_BCHW), h_BNC, self.proj_out.weight, self.proj_out.bias, held_C, keep_B), x_BCHW)


class FastConditionalUNet(ConditionalUNet):
    """A network whose skip connections are never copied beside what they are joined with."""

    @staticmethod
    def suits(network: Any) -> bool:
        """Whether its residual blocks on the way up take two maps."""
        return all(
            FastResnet.suits(resnet) and resnet.conv_shortcut is not None
            for block in network.unet.up_blocks
            for resnet in block.resnets
        )

    @staticmethod
    def _joined(h_BCHW: Tensor, skip_BCHW: Tensor) -> Any:
        return h_BCHW, skip_BCHW


_TWINS: dict[type, Any] = {
    ConditionalUNet: FastConditionalUNet,
    nn.GroupNorm: FastGroupNorm,
    nn.Conv2d: FastConvolution,
    nn.AvgPool2d: FastPool,
    AdapterResnetBlock: FastAdapterResnet,
    Upsample2D: FastUpsample,
    ResnetBlock2D: FastResnet,
    Transformer2DModel: FastTransformer,
    AnchorBlock: FastAnchorBlock,
}


def _convolved(x_BCHW: Tensor, conv: nn.Conv2d) -> Tensor:
    """Without the bias."""
    return F.conv2d(x_BCHW, conv.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)  # type: ignore


def _norm(x_BCHW: Tensor, norm: Any, **options: Any) -> tuple[Tensor, Tensor]:
    return group_norm(x_BCHW, *_settings(norm), **options)


def _settings(norm: Any) -> tuple[int, Tensor, Tensor, float]:
    return norm.num_groups, norm.weight, norm.bias, norm.eps


def _enter(x_BNC: Tensor, layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """A linear layer, and its bias, which gets its gradient where the result goes next."""
    return F.linear(x_BNC, layer.weight, layer.bias.detach().to(x_BNC.dtype)), layer.bias


def _add_norm(x_BNC: Tensor, delta: Tensor | None, held_C: Tensor | None, norm: Any) -> tuple[Tensor, Tensor]:
    return add_layer_norm(x_BNC, delta, held_C, norm.weight, norm.bias, norm.eps)


def _add_geglu(h_BNC: Tensor, x_BNC: Tensor, block: Any) -> tuple[Tensor, Tensor]:
    """The sum with a feed-forward, and that one's last bias, as in :func:`_enter`."""
    first, last = block.net[0].proj, block.net[2]
    return feed_forward(h_BNC, x_BNC, first.weight, first.bias, last.weight, last.bias), last.bias


def _attend(layer: Any, x_BNC: Tensor, context_BLD: Tensor) -> Tensor:
    """Attention without the bias of its last layer."""
    if context_BLD is x_BNC:
        q, k, v = linears(x_BNC, layer.to_q.weight, layer.to_k.weight, layer.to_v.weight)
    else:
        q = F.linear(x_BNC, layer.to_q.weight)
        k, v = linears(context_BLD, layer.to_k.weight, layer.to_v.weight)
    heads = (t.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for t in (q, k, v))
    return F.linear(attention(*heads).transpose(1, 2).flatten(2), layer.to_out[0].weight)


def _plain(layer: Any) -> bool:
    attentions = (layer.attn1, layer.attn2)
    biased = any(a.to_q.bias is not None or a.rescale_output_factor != 1 or a.residual_connection for a in attentions)
    dropout = any(m.p for m in layer.modules() if isinstance(m, nn.Dropout))
    return type(layer.ff.net[0]).__name__ == "GEGLU" and not biased and not dropout


def _tokens(x_BCHW: Tensor) -> Tensor:
    return x_BCHW.permute(0, 2, 3, 1).flatten(1, 2).contiguous()  # of a channels-last map: no copy


def _map(x_BNC: Tensor, like_BCHW: Tensor) -> Tensor:
    return x_BNC.unflatten(1, like_BCHW.shape[2:]).permute(0, 3, 1, 2)
