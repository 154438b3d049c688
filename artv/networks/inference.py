"""A network once more, for sampling: the same function in far fewer operations.

:class:`~artv.networks.ConditionalUNet` is written to be read and trained, out of diffusers' modules. Sampling calls it
thousands of times with the same text, anchor and references and with every row at the same timestep, so here

    - text keys and values are computed once a frame, and time embeddings once a noise level: they become part of the
      bias of the convolution that they are added after;
    - queries, keys and values of self-attention are one product; activations stay channels-last, so that nothing
      moves between maps and tokens; and no module, hook or attention processor stands between two operations.

All of it is exact: results differ from the network's by rounding only.

Shape suffixes: B batch, C channels, H W feature size, N = H·W tokens, L text tokens, D text width.
"""

from collections.abc import Iterator
from itertools import repeat
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artv.networks.conditional_unet import ConditionalUNet, Features, KeysValues


class Frozen(NamedTuple):
    """Features of the conditioning frames as :class:`InferenceNetwork` takes them. ``keep_anchor_B`` None: all kept."""

    refs: tuple[Tensor, ...]
    anchor: tuple[KeysValues, ...]
    keep_anchor_B: Tensor | None

    @classmethod
    def of(cls, features: Features) -> "Frozen":
        """From what the network's own ``encode`` returns."""
        keep = features.keep_anchor_B
        all_kept = keep.device.type == "cpu" and bool((keep == 1).all())  # asking a GPU would wait for it
        refs = tuple(f.contiguous(memory_format=torch.channels_last) for f in features.refs)
        return cls(refs, features.anchor, None if all_kept else keep)


class InferenceNetwork:
    """A :class:`ConditionalUNet`, called part by part.

    It shares the network's weights, apart from copies of those that it joins or lays out anew: after changing the
    network's weights make a new one.
    """

    def __init__(self, network: ConditionalUNet) -> None:
        unet: Any = network.unet
        self.unet = unet
        self.sites = [_TextBlock(site) for site, _ in network.attention_sites()]
        self.anchor_blocks = [_AnchorBlock(block) for block in network.anchor_blocks]
        self.down = [[_Resnet(r) for r in block.resnets] for block in unet.down_blocks]
        self.middle = [_Resnet(r) for r in unet.mid_block.resnets]
        self.up = [[_Resnet(r) for r in block.resnets] for block in unet.up_blocks]
        self.attends = [hasattr(block, "attentions") for block in (*unet.down_blocks, *unet.up_blocks)]
        self.downsample = [[_Conv(d.conv) for d in block.downsamplers or ()] for block in unet.down_blocks]
        self.upsample = [[_Conv(u.conv) for u in block.upsamplers or ()] for block in unet.up_blocks]
        self.conv_in, self.conv_out = _Conv(unet.conv_in), _Conv(unet.conv_out)

    @staticmethod
    def fits(network: ConditionalUNet) -> bool:
        """Whether the UNet is made of the parts that are written out here (SD-2.1's are)."""
        config: Any = network.unet.config
        sites: list[Any] = [site for site, _ in network.attention_sites()]
        return (
            config.use_linear_projection
            and config.act_fn == "silu"
            and config.resnet_time_scale_shift == "default"
            and config.mid_block_scale_factor == 1
            and config.downsample_padding == 1
            and all(len(site.transformer_blocks) == 1 for site in sites)
        )

    def text(self, text_BLD: Tensor) -> list[KeysValues]:
        """Keys and values of every site."""
        return [site.keys_values(text_BLD) for site in self.sites]

    def time(self, t: Tensor, dtype: torch.dtype) -> list[Tensor]:
        """For every residual block, in their order, the bias that stands for the timestep ``t`` (a scalar)."""
        embedding = F.silu(self.unet.time_embedding(self.unet.time_proj(t.reshape(1)).to(dtype)))[0]
        levels = (*self.down, self.middle, *self.up)
        return [resnet.time_bias(embedding) for resnets in levels for resnet in resnets]

    def __call__(self, z_BCHW: Tensor, time: list[Tensor], text: list[KeysValues], features: Frozen) -> Tensor:
        """As the network's own call, from what :meth:`time`, :meth:`text` and :meth:`Frozen.of` returned."""
        biases, attends = iter(time), iter(self.attends)
        attend = self._attention(text, features)

        h = self.conv_in(z_BCHW.contiguous(memory_format=torch.channels_last))
        skips = [h]
        for resnets, downsample, refs in zip(self.down, self.downsample, features.refs, strict=True):
            attending = next(attends)
            for j, resnet in enumerate(resnets):
                h = resnet(h, next(biases))
                h = attend(h) if attending else h
                h = h + refs if j == len(resnets) - 1 else h
                skips.append(h)
            for conv in downsample:
                h = conv(h)
                skips.append(h)

        h = self.middle[0](h, next(biases))
        for resnet in self.middle[1:]:
            h = resnet(attend(h), next(biases))

        for resnets, upsample in zip(self.up, self.upsample, strict=True):
            attending = next(attends)
            for resnet in resnets:
                h = resnet(torch.cat([h, skips.pop()], dim=1), next(biases))
                h = attend(h) if attending else h
            for conv in upsample:
                h = conv(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return self.conv_out(_activated(h, self.unet.conv_norm_out))

    def _attention(self, text: list[KeysValues], features: Frozen) -> Any:
        """A function that applies the next site: text, then anchor."""
        anchors: Iterator[Any] = (
            zip(self.anchor_blocks, features.anchor, strict=True) if features.anchor else repeat(None)
        )
        sites = zip(self.sites, text, anchors, strict=False)

        def attend(h: Tensor) -> Tensor:
            site, keys_values, anchor = next(sites)
            h = site(h, keys_values)
            return h if anchor is None else anchor[0](h, anchor[1], features.keep_anchor_B)

        return attend


class _Conv:
    """A convolution with channels-last weights."""

    def __init__(self, layer: Any) -> None:
        self.weight = layer.weight.detach().contiguous(memory_format=torch.channels_last)
        self.bias, self.stride, self.padding = layer.bias, layer.stride, layer.padding

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(x, self.weight, self.bias if bias is None else bias, self.stride, self.padding)


class _Resnet:
    """diffusers' ``ResnetBlock2D``."""

    def __init__(self, block: Any) -> None:
        self.block = block
        self.conv1, self.conv2 = _Conv(block.conv1), _Conv(block.conv2)
        self.shortcut = None if block.conv_shortcut is None else _Conv(block.conv_shortcut)

    def time_bias(self, embedding: Tensor) -> Tensor:
        """The first convolution's bias with the time embedding added."""
        projection = self.block.time_emb_proj
        return self.conv1.bias + F.linear(embedding, projection.weight, projection.bias)

    def __call__(self, x: Tensor, bias: Tensor) -> Tensor:
        h = self.conv1(_activated(x, self.block.norm1), bias)
        h = self.conv2(_activated(h, self.block.norm2))
        return h + (x if self.shortcut is None else self.shortcut(x))


class _TextBlock:
    """A ``Transformer2DModel`` with linear projections and one ``BasicTransformerBlock``."""

    def __init__(self, module: Any) -> None:
        self.module, (self.block,) = module, module.transformer_blocks
        own, text = self.block.attn1, self.block.attn2
        self.heads = own.heads
        self.qkv = torch.cat([own.to_q.weight, own.to_k.weight, own.to_v.weight]).detach()
        self.text_kv = torch.cat([text.to_k.weight, text.to_v.weight]).detach()

    def keys_values(self, text_BLD: Tensor) -> KeysValues:
        k, v = F.linear(text_BLD, self.text_kv).chunk(2, dim=-1)
        return _heads(k, self.heads), _heads(v, self.heads)

    def __call__(self, x_BCHW: Tensor, text: KeysValues) -> Tensor:
        module, block = self.module, self.block
        h = _linear(_tokens(_group_norm(x_BCHW, module.norm)), module.proj_in)
        q, k, v = (_heads(x, self.heads) for x in F.linear(_layer_norm(h, block.norm1), self.qkv).chunk(3, dim=-1))
        h = h + _linear(_attend(q, k, v), block.attn1.to_out[0])
        q = _heads(_linear(_layer_norm(h, block.norm2), block.attn2.to_q), self.heads)
        h = h + _linear(_attend(q, *text), block.attn2.to_out[0])
        h = h + _feed_forward(_layer_norm(h, block.norm3), block.ff)
        return x_BCHW + _maps(_linear(h, module.proj_out), x_BCHW)


class _AnchorBlock:
    """:class:`~artv.networks.anchor_block.AnchorBlock`."""

    def __init__(self, block: Any) -> None:
        self.block = block

    def __call__(self, x_BCHW: Tensor, anchor: KeysValues, keep_B: Tensor | None) -> Tensor:
        block = self.block
        h = _linear(_tokens(_group_norm(x_BCHW, block.norm)), block.proj_in)
        q = _heads(_linear(_layer_norm(h, block.norm_attention), block.to_q), h.shape[-1] // block.head_dim)
        h = h + _linear(_attend(q, *anchor), block.to_out)
        h = h + _feed_forward(_layer_norm(h, block.norm_feed_forward), block.feed_forward)
        residual = _linear(h, block.proj_out)
        if keep_B is not None:
            residual = residual * keep_B.to(residual.dtype).view(-1, 1, 1)
        return x_BCHW + _maps(residual, x_BCHW)


def _tokens(x_BCHW: Tensor) -> Tensor:
    """(B, N, C): a view, because maps are channels-last."""
    return x_BCHW.permute(0, 2, 3, 1).flatten(1, 2)


def _maps(x_BNC: Tensor, like_BCHW: Tensor) -> Tensor:
    """Inverse of :func:`_tokens`."""
    return x_BNC.unflatten(1, like_BCHW.shape[2:]).permute(0, 3, 1, 2)


def _heads(x_BNC: Tensor, heads: int) -> Tensor:
    return x_BNC.unflatten(-1, (heads, -1)).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _feed_forward(x_BNC: Tensor, module: Any) -> Tensor:
    """diffusers' GEGLU feed-forward."""
    value, gate = _linear(x_BNC, module.net[0].proj).chunk(2, dim=-1)
    return _linear(value * F.gelu(gate), module.net[2])


def _activated(x: Tensor, norm: Any) -> Tensor:
    return F.silu(_group_norm(x, norm), inplace=True)


def _group_norm(x: Tensor, norm: Any) -> Tensor:
    return F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)


def _layer_norm(x: Tensor, norm: Any) -> Tensor:
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _linear(x: Tensor, layer: nn.Linear) -> Tensor:
    return F.linear(x, layer.weight, layer.bias)
