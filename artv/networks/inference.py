"""A network once more, for sampling: the same function in far fewer operations.

:class:`~artv.networks.ConditionalUNet` is written to be read and trained, out of diffusers' modules. Sampling calls it
thousands of times with the same text, anchor and references and with every row at the same timestep, so here

    - text keys and values are computed once a frame, and time embeddings once a noise level: they become part of the
      bias of the convolution that they are added after;
    - what all guidance branches share (everything before the first look at the text) is computed once for all;
    - queries, keys and values of self-attention are one product; activations stay channels-last, so that nothing
      moves between maps and tokens; and no module, hook or attention processor stands between two operations;
    - where kernels are fused, products add to the map they change. Their biases are added before, by the residual
      block that makes the map, and the norms in between take them off again (:class:`_Ahead`).

All of it is exact: results differ from the network's by rounding only.

Shape suffixes: B batch, C channels, H W feature size, N = H·W tokens, L text tokens, D text width.
"""

from itertools import count, repeat
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.networks.conditional_unet import ConditionalUNet, Features, KeysValues
from artv.networks.deep_features import DeepFeatures
from artv.networks.kernels import (
    Shift,
    add_layer_norm,
    add_shifted,
    attention,
    fuses,
    group_norm,
    layer_norm,
    linear_geglu,
    upsample,
)
from artv.networks.shallow import shallow
from artv.networks.windows import Windows


class Frozen(NamedTuple):
    """Features of the conditioning frames as :class:`InferenceNetwork` takes them.

    ``anchored``: the first so many rows attend to the anchor, the others have it dropped. ``keep_anchor_B`` takes its
    place where rows are not in that order, and is None otherwise.
    """

    refs: tuple[Tensor, ...]
    anchor: tuple[KeysValues, ...]
    anchored: int
    keep_anchor_B: Tensor | None

    @classmethod
    def of(cls, features: Features) -> "Frozen":
        """From what the network's own ``encode`` returns. Waits for a GPU, once a frame."""
        keep = features.keep_anchor_B.tolist()
        anchored = keep.index(0.0) if 0.0 in keep else len(keep)
        ordered = all(k == 1.0 for k in keep[:anchored]) and not any(keep[anchored:])
        refs = tuple(f.contiguous(memory_format=torch.channels_last) for f in features.refs)
        if not ordered:
            return cls(refs, features.anchor, len(keep), features.keep_anchor_B)
        return cls(refs, tuple((k[:anchored], v[:anchored]) for k, v in features.anchor), anchored, None)

    @property
    def folded(self) -> int:
        """The first so many rows surely get what the anchor blocks add."""
        return self.anchored if self.anchor and self.keep_anchor_B is None else 0

    def tensors(self) -> list[Tensor]:
        """All of them, in a fixed order."""
        kept = [] if self.keep_anchor_B is None else [self.keep_anchor_B]
        return [*self.refs, *(t for pair in self.anchor for t in pair), *kept]

    def within(self, windows: Windows) -> "Frozen":
        """For windows of the frame, as :meth:`Features.within`. Does not wait for a GPU."""
        rows, keep = windows.rows, self.keep_anchor_B
        anchored = sum(row < self.anchored for row in rows)  # rows ascend, so these come first
        seen = windows._replace(rows=rows[:anchored])
        return Frozen(
            tuple(
                windows.crop(f, 2**level).contiguous(memory_format=torch.channels_last)
                for level, f in enumerate(self.refs)
            ),
            tuple((seen.take(k), seen.take(v)) for k, v in self.anchor),
            anchored,
            None if keep is None else windows.take(keep),
        )

    def clone(self) -> "Frozen":
        """The same values in memory of its own."""
        refs = tuple(f.clone(memory_format=torch.preserve_format) for f in self.refs)
        anchor = tuple((k.clone(), v.clone()) for k, v in self.anchor)
        return Frozen(refs, anchor, self.anchored, None if self.keep_anchor_B is None else self.keep_anchor_B.clone())


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
        self.attends = [hasattr(block, "attentions") for block in (*unet.down_blocks, *unet.up_blocks)]
        pairs = zip(self.sites, self.anchor_blocks or repeat(None), strict=False)
        following = iter([_Ahead(site, anchor) for site, anchor in pairs])

        def resnets(block: Any, attends: bool) -> list[_Resnet]:
            return [_Resnet(r, next(following) if attends else None) for r in block.resnets]

        depth = len(unet.down_blocks)
        self.down = [resnets(*pair) for pair in zip(unet.down_blocks, self.attends[:depth], strict=True)]
        first, *others = unet.mid_block.resnets
        self.middle = [_Resnet(first, next(following)), *(_Resnet(r, None) for r in others)]
        self.up = [resnets(*pair) for pair in zip(unet.up_blocks, self.attends[depth:], strict=True)]
        self.time_widths = [r.conv1.bias.numel() for level in (*self.down, self.middle, *self.up) for r in level]
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
            and len(network.unet.mid_block.attentions) == 1
            and all(len(site.transformer_blocks) == 1 for site in sites)
        )

    def text(self, text_BLD: Tensor) -> list[KeysValues]:
        """Keys and values of every site."""
        return [site.keys_values(text_BLD) for site in self.sites]

    def time(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """What stands for the timestep ``t`` (a scalar): the biases of all residual blocks in their order, as one."""
        embedding = F.silu(self.unet.time_embedding(self.unet.time_proj(t.reshape(1)).to(dtype)))[0]
        levels = (*self.down, self.middle, *self.up)
        return torch.cat([resnet.time_bias(embedding) for resnets in levels for resnet in resnets])

    def __call__(
        self,
        z_BCHW: Tensor,
        time: Tensor,
        text: list[KeysValues],
        features: Frozen,
        deep: DeepFeatures | None = None,
        copies: int = 1,
    ) -> Tensor:
        """As the network's own call, from what :meth:`time`, :meth:`text` and :meth:`Frozen.of` returned.

        ``copies``: the rows of text and features are so many times the rows of ``z``, one after the other.
        """
        if deep is not None:
            deep.check(sum(map(len, self.up)))
        if deep is not None and deep.filled:
            return shallow(self, z_BCHW, time, text, features, deep, copies)
        biases, attends, sites = iter(time.split(self.time_widths)), iter(self.attends), count()

        def step(resnet: _Resnet, attends: bool, h: Tensor, skip: Tensor | None = None) -> Tensor:
            site = next(sites) if attends else None
            return self.step(resnet, next(biases), site, h, skip, text, features, copies)

        h = self.conv_in(z_BCHW.contiguous(memory_format=torch.channels_last))
        skips = [repeated(h, copies)]
        for resnets, downsample, refs in zip(self.down, self.downsample, features.refs, strict=True):
            attending = next(attends)
            for j, resnet in enumerate(resnets):
                h = step(resnet, attending, h)
                h = h + refs if j == len(resnets) - 1 else h
                skips.append(h)
            for conv in downsample:
                h = conv(h)
                skips.append(h)

        for j, resnet in enumerate(self.middle):
            h = step(resnet, j == 0, h)

        for resnets, convs in zip(self.up, self.upsample, strict=True):
            attending = next(attends)
            for resnet in resnets:
                if deep is not None and len(skips) == deep.blocks:
                    deep.h_BCHW = h
                h = step(resnet, attending, h, skips.pop())
            for conv in convs:
                h = conv(upsample(h))
        return self.conv_out(self.norm_out.silu(h))

    def step(
        self,
        resnet: "_Resnet",
        bias: Tensor,
        site: int | None,
        h_BCHW: Tensor,
        skip_BCHW: Tensor | None,
        text: list[KeysValues],
        features: Frozen,
        copies: int,
    ) -> Tensor:
        """A residual block and, where there is one, the attention site behind it: text, then anchor.

        Rows that the branches share until they have seen the text come out ``copies`` times.
        """
        shared = len(h_BCHW) < len(text[0][0])
        copies, first = (copies, 0) if shared else (1, features.folded)
        h = resnet(h_BCHW, bias, skip_BCHW, first=first)
        if site is None:
            return repeated(h, copies)
        h = self.sites[site](h, text[site], first, copies)
        if not features.anchor or not features.anchored:
            return h
        anchor = features.anchor[site]
        return self.anchor_blocks[site](h, anchor, features.anchored, features.keep_anchor_B, first)


def repeated(x: Tensor, copies: int) -> Tensor:
    """The rows so many times, one after the other; the layout stays."""
    return x if copies == 1 else torch.cat([x] * copies)


# The parts below hold tensors, not modules: looking up a module's attribute takes as long as a small operation.


class _Conv:
    """A convolution with channels-last weights."""

    def __init__(self, layer: Any) -> None:
        self.weight = layer.weight.detach().contiguous(memory_format=torch.channels_last)
        self.bias, self.stride, self.padding = layer.bias.detach(), layer.stride, layer.padding

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        return torch.conv2d(x, self.weight, self.bias if bias is None else bias, self.stride, self.padding)

    def without_bias(self, x: Tensor) -> Tensor:
        """For a caller that adds it together with something else."""
        return torch.conv2d(x, self.weight, None, self.stride, self.padding)


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

    def __call__(self, x: Tensor, shift: Shift | None = None) -> Tensor:
        """The norm of x + shift."""
        return group_norm(x, self.groups, self.weight, self.bias, self.eps, shift=shift)

    def silu(self, x: Tensor, shift: Shift | None = None, skip: Tensor | None = None) -> Tensor:
        """The norm of (x, skip) + shift, then SiLU."""
        return group_norm(x, self.groups, self.weight, self.bias, self.eps, silu=True, shift=shift, skip_BCHW=skip)


class _LayerNorm:
    def __init__(self, norm: Any) -> None:
        self.weight, self.bias, self.eps = norm.weight.detach(), norm.bias.detach(), norm.eps

    def __call__(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.weight, self.bias, self.eps)

    def of_sum(self, x: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
        """(x + delta, its norm); ``x`` is changed."""
        return add_layer_norm(x, delta, self.weight, self.bias, self.eps)


class _Pointwise:
    """A 1×1 convolution, also of two maps whose channels follow each other, as matrix products without a bias."""

    def __init__(self, layer: Any) -> None:
        self.weight = layer.weight.detach().flatten(1)

    def __call__(self, x_BCHW: Tensor, skip_BCHW: Tensor | None) -> Tensor:
        B, C, H, W = x_BCHW.shape
        y_MC = F.linear(_flat(x_BCHW), self.weight[:, :C])
        if skip_BCHW is not None:
            y_MC.addmm_(_flat(skip_BCHW), self.weight[:, C:].t())
        return y_MC.view(B, H, W, -1).permute(0, 3, 1, 2)


def _flat(x_BCHW: Tensor) -> Tensor:
    """(B·H·W, C), the same memory where the map is channels-last."""
    return x_BCHW.permute(0, 2, 3, 1).reshape(-1, x_BCHW.shape[1])


class _Ahead:
    """The biases of a text block and of its anchor block, added before the blocks run: for the first rows both, for
    the others, which have no anchor, the text block's only.
    """

    def __init__(self, site: "_TextBlock", anchor: "_AnchorBlock | None") -> None:
        both = site.bias if anchor is None else site.bias + anchor.bias
        self.added = torch.stack([both, site.bias])
        site.taken_off = -self.added
        if anchor is not None:
            anchor.taken_off = -anchor.bias[None]


class _Resnet:
    """diffusers' ``ResnetBlock2D``. Where kernels are fused, what is ``ahead`` is added to its result."""

    def __init__(self, block: Any, ahead: _Ahead | None) -> None:
        self.norm1, self.norm2 = _GroupNorm(block.norm1), _GroupNorm(block.norm2)
        self.conv1, self.conv2, self.time = _Conv(block.conv1), _Conv(block.conv2), _Linear(block.time_emb_proj)
        self.shortcut = None if block.conv_shortcut is None else _Conv(block.conv_shortcut)
        self.pointwise = None if block.conv_shortcut is None else _Pointwise(block.conv_shortcut)
        # the biases of both convolutions whose results are added
        bias = self.conv2.bias if self.shortcut is None else self.conv2.bias + self.shortcut.bias
        self.shifts = bias[None].repeat(2, 1) if ahead is None else bias + ahead.added

    def time_bias(self, embedding: Tensor) -> Tensor:
        """The first convolution's bias with the time embedding added."""
        return self.conv1.bias + self.time(embedding)

    def __call__(self, x: Tensor, bias: Tensor, skip: Tensor | None = None, *, first: int = 0) -> Tensor:
        """Of (x, skip), with the time in ``bias``. ``first``: see :class:`Frozen`, ``folded``."""
        if fuses(x):
            h = self.norm2.silu(self.conv1.without_bias(self.norm1.silu(x, skip=skip)), Shift.same(bias))
            x = x if self.pointwise is None else self.pointwise(x, skip)
            return add_shifted(self.conv2.without_bias(h), x, Shift(self.shifts, first))
        x = x if skip is None else torch.cat([x, skip], dim=1)
        h = self.conv2(self.norm2.silu(self.conv1(self.norm1.silu(x), bias)))
        return h.add_(x if self.shortcut is None else self.shortcut(x))


class _Site:
    """What both kinds of attention block begin and end with. Tokens are a view of channels-last maps.

    ``taken_off``: what was added ahead to the maps that come here, negated; set by :class:`_Ahead`.
    """

    taken_off: Tensor

    def __init__(self, module: Any, heads: int, feed_forward: Any, norm: Any) -> None:
        self.norm, self.proj_in, self.heads = _GroupNorm(module.norm), _Linear(module.proj_in), heads
        self.norm_ff, up = _LayerNorm(norm), feed_forward.net[0].proj
        self.up_weight, self.up_bias = up.weight.detach(), up.bias.detach()
        down, out = feed_forward.net[2], module.proj_out
        self.down, self.proj_out = down.weight.detach().t(), out.weight.detach()
        # down's bias, seen through proj_out
        self.bias = (out.bias + F.linear(down.bias.float(), out.weight.float()).to(out.bias)).detach()

    def tokens(self, x_BCHW: Tensor, shift: Shift | None) -> Tensor:
        B, C, H, W = x_BCHW.shape
        return self.proj_in(self.norm(x_BCHW, shift).permute(0, 2, 3, 1).reshape(B, H * W, C))

    def split(self, x_BNC: Tensor) -> Tensor:
        """(B, heads, N, head width)."""
        B, N, C = x_BNC.shape
        return x_BNC.view(B, N, self.heads, C // self.heads).transpose(1, 2)

    def feed_forward(self, h_BNC: Tensor, delta_BNC: Tensor) -> Tensor:
        """h + delta through the feed-forward; (B·N, C). Changes ``h``."""
        h_BNC, normed = self.norm_ff.of_sum(h_BNC, delta_BNC)
        hidden = linear_geglu(normed, self.up_weight, self.up_bias)
        return h_BNC.flatten(0, 1).addmm_(hidden.flatten(0, 1), self.down)

    def add_to(self, x_BCHW: Tensor, h_MC: Tensor) -> Tensor:
        """The map with the block's residual, but not its bias: in place."""
        _flat(x_BCHW).addmm_(h_MC, self.proj_out.t())
        return x_BCHW

    def residual(self, h_MC: Tensor, x_BCHW: Tensor) -> Tensor:
        """The block's residual, bias included, as a map like ``x``."""
        B, C, H, W = x_BCHW.shape
        return F.linear(h_MC, self.proj_out, self.bias).view(B, H, W, C).permute(0, 3, 1, 2)


class _TextBlock(_Site):
    """A ``Transformer2DModel`` with linear projections and one ``BasicTransformerBlock``."""

    def __init__(self, module: Any) -> None:
        (block,) = module.transformer_blocks
        own, text = block.attn1, block.attn2
        super().__init__(module, own.heads, block.ff, block.norm3)
        self.norm1, self.norm2 = _LayerNorm(block.norm1), _LayerNorm(block.norm2)
        self.qkv, self.out = _Linear(own.to_q, own.to_k, own.to_v), _Linear(own.to_out[0])
        self.text_q, self.text_kv, self.text_out = (
            _Linear(text.to_q),
            _Linear(text.to_k, text.to_v),
            _Linear(text.to_out[0]),
        )

    def keys_values(self, text_BLD: Tensor) -> KeysValues:
        k, v = self.text_kv(text_BLD).chunk(2, dim=-1)
        return self.split(k.contiguous()), self.split(v.contiguous())

    def __call__(self, x_BCHW: Tensor, text: KeysValues, first: int, copies: int) -> Tensor:
        """``copies``: the rows of the text are so many times those of ``x``. Changes ``x``."""
        fused = fuses(x_BCHW)
        h = self.tokens(x_BCHW, Shift(self.taken_off, first) if fused else None)
        q, k, v = self.qkv(self.norm1(h)).chunk(3, dim=-1)
        h, normed = self.norm2.of_sum(h, self.out(attention(self.split(q), self.split(k), self.split(v))))
        x_BCHW, h, normed = (repeated(each, copies) for each in (x_BCHW, h, normed))
        h_MC = self.feed_forward(h, self.text_out(attention(self.split(self.text_q(normed)), *text)))
        return self.add_to(x_BCHW, h_MC) if fused else x_BCHW.add_(self.residual(h_MC, x_BCHW))


class _AnchorBlock(_Site):
    """:class:`~artv.networks.anchor_block.AnchorBlock`."""

    def __init__(self, block: Any) -> None:
        heads = block.to_q.out_features // block.head_dim
        super().__init__(block, heads, block.feed_forward, block.norm_feed_forward)
        self.norm_q, self.q, self.out = _LayerNorm(block.norm_attention), _Linear(block.to_q), _Linear(block.to_out)

    def __call__(self, x_BCHW: Tensor, anchor: KeysValues, rows: int, keep_B: Tensor | None, first: int) -> Tensor:
        """Adds the residual to the first ``rows`` rows of ``x``. ``first``: 0 where no bias is in ``x`` yet."""
        own_BCHW = x_BCHW[:rows]
        ahead = first > 0 and fuses(own_BCHW)
        h = self.tokens(own_BCHW, Shift.same(self.taken_off) if ahead else None)
        h_MC = self.feed_forward(h, self.out(attention(self.split(self.q(self.norm_q(h))), *anchor)))
        if ahead:
            self.add_to(own_BCHW, h_MC)
        else:
            residual = self.residual(h_MC, own_BCHW)
            own_BCHW += residual if keep_B is None else residual * keep_B.to(residual.dtype).view(-1, 1, 1, 1)
        return x_BCHW
