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
from torch import Tensor

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
        self.conv_in, self.norm_out, self.conv_out = (
            _Conv(unet.conv_in),
            _GroupNorm(unet.conv_norm_out),
            _Conv(unet.conv_out),
        )

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
        return self.conv_out(self.norm_out.silu(h))

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


# The parts below hold tensors, not modules: looking up a module's attribute takes as long as a small operation.


class _Conv:
    """A convolution with channels-last weights."""

    def __init__(self, layer: Any) -> None:
        self.weight = layer.weight.detach().contiguous(memory_format=torch.channels_last)
        self.bias, self.stride, self.padding = layer.bias.detach(), layer.stride, layer.padding

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        return torch.conv2d(x, self.weight, self.bias if bias is None else bias, self.stride, self.padding)


class _Linear:
    def __init__(self, *layers: Any) -> None:
        """Several layers of one input become one product."""
        self.weight = layers[0].weight.detach() if len(layers) == 1 else torch.cat([x.weight for x in layers]).detach()
        self.bias = None if layers[0].bias is None else torch.cat([x.bias for x in layers]).detach()

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class _GroupNorm:
    def __init__(self, norm: Any) -> None:
        self.groups, self.eps = norm.num_groups, norm.eps
        self.weight, self.bias = norm.weight.detach(), norm.bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.groups, self.weight, self.bias, self.eps)

    def silu(self, x: Tensor) -> Tensor:
        """The norm, then SiLU."""
        return F.silu(self(x), inplace=True)


class _LayerNorm:
    def __init__(self, norm: Any) -> None:
        self.shape, self.eps = norm.normalized_shape, norm.eps
        self.weight, self.bias = norm.weight.detach(), norm.bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        return torch.layer_norm(x, self.shape, self.weight, self.bias, self.eps)


class _FeedForward:
    """diffusers' GEGLU feed-forward, after its norm."""

    def __init__(self, norm: Any, module: Any) -> None:
        self.norm, self.up, self.down = _LayerNorm(norm), _Linear(module.net[0].proj), _Linear(module.net[2])

    def __call__(self, x_BNC: Tensor) -> Tensor:
        value, gate = self.up(self.norm(x_BNC)).chunk(2, dim=-1)
        return self.down(value * F.gelu(gate))


class _Resnet:
    """diffusers' ``ResnetBlock2D``."""

    def __init__(self, block: Any) -> None:
        self.norm1, self.norm2 = _GroupNorm(block.norm1), _GroupNorm(block.norm2)
        self.conv1, self.conv2, self.time = _Conv(block.conv1), _Conv(block.conv2), _Linear(block.time_emb_proj)
        self.shortcut = None if block.conv_shortcut is None else _Conv(block.conv_shortcut)

    def time_bias(self, embedding: Tensor) -> Tensor:
        """The first convolution's bias with the time embedding added."""
        return self.conv1.bias + self.time(embedding)

    def __call__(self, x: Tensor, bias: Tensor) -> Tensor:
        h = self.conv2(self.norm2.silu(self.conv1(self.norm1.silu(x), bias)))
        return h.add_(x if self.shortcut is None else self.shortcut(x))


class _Site:
    """What both kinds of attention block begin and end with. Tokens are a view of channels-last maps."""

    def __init__(self, norm: Any, proj_in: Any, proj_out: Any, heads: int) -> None:
        self.norm, self.proj_in, self.proj_out = _GroupNorm(norm), _Linear(proj_in), _Linear(proj_out)
        self.heads = heads

    def tokens(self, x_BCHW: Tensor) -> Tensor:
        B, C, H, W = x_BCHW.shape
        return self.proj_in(self.norm(x_BCHW).permute(0, 2, 3, 1).reshape(B, H * W, C))

    def split(self, x_BNC: Tensor) -> Tensor:
        """(B, heads, N, head width)."""
        B, N, C = x_BNC.shape
        return x_BNC.view(B, N, self.heads, C // self.heads).transpose(1, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        B, heads, N, width = q.shape
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, heads * width)

    def residual(self, x_BCHW: Tensor, h_BNC: Tensor) -> Tensor:
        B, C, H, W = x_BCHW.shape
        return x_BCHW + h_BNC.view(B, H, W, C).permute(0, 3, 1, 2)


class _TextBlock(_Site):
    """A ``Transformer2DModel`` with linear projections and one ``BasicTransformerBlock``."""

    def __init__(self, module: Any) -> None:
        (block,) = module.transformer_blocks
        own, text = block.attn1, block.attn2
        super().__init__(module.norm, module.proj_in, module.proj_out, own.heads)
        self.norm1, self.norm2 = _LayerNorm(block.norm1), _LayerNorm(block.norm2)
        self.qkv, self.out = _Linear(own.to_q, own.to_k, own.to_v), _Linear(own.to_out[0])
        self.text_q, self.text_kv, self.text_out = (
            _Linear(text.to_q),
            _Linear(text.to_k, text.to_v),
            _Linear(text.to_out[0]),
        )
        self.feed_forward = _FeedForward(block.norm3, block.ff)

    def keys_values(self, text_BLD: Tensor) -> KeysValues:
        k, v = self.text_kv(text_BLD).chunk(2, dim=-1)
        return self.split(k.contiguous()), self.split(v.contiguous())

    def __call__(self, x_BCHW: Tensor, text: KeysValues) -> Tensor:
        h = self.tokens(x_BCHW)
        q, k, v = self.qkv(self.norm1(h)).chunk(3, dim=-1)
        h = h + self.out(self.attend(self.split(q), self.split(k), self.split(v)))
        h = h + self.text_out(self.attend(self.split(self.text_q(self.norm2(h))), *text))
        h = h + self.feed_forward(h)
        return self.residual(x_BCHW, self.proj_out(h))


class _AnchorBlock(_Site):
    """:class:`~artv.networks.anchor_block.AnchorBlock`."""

    def __init__(self, block: Any) -> None:
        super().__init__(block.norm, block.proj_in, block.proj_out, block.to_q.out_features // block.head_dim)
        self.norm_q, self.q, self.out = _LayerNorm(block.norm_attention), _Linear(block.to_q), _Linear(block.to_out)
        self.feed_forward = _FeedForward(block.norm_feed_forward, block.feed_forward)

    def __call__(self, x_BCHW: Tensor, anchor: KeysValues, keep_B: Tensor | None) -> Tensor:
        h = self.tokens(x_BCHW)
        h = h + self.out(self.attend(self.split(self.q(self.norm_q(h))), *anchor))
        h = self.proj_out(h + self.feed_forward(h))
        return self.residual(x_BCHW, h if keep_B is None else h * keep_B.to(h.dtype).view(-1, 1, 1))
