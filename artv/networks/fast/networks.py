"""A network once more, for sampling: the same function in far fewer operations.

:class:`~artv.networks.ConditionalUNet` is written to be read and trained, out of diffusers' modules. Sampling calls it
thousands of times with the same text, anchor and references and with every row at the same timestep, so here

    - text keys and values are computed once a frame, and time embeddings once a noise level: they become part of the
      bias of the convolution that they are added after;
    - what all guidance branches share (everything before the first look at the text) is computed once for all;
    - queries, keys and values of self-attention are one product; activations stay channels-last, so that nothing
      moves between maps and tokens; and no module, hook or attention processor stands between two operations;
    - where kernels are fused, products add to the map they change. Their biases are added before, by the residual
      block that makes the map, and the norms in between take them off again (``blocks.py`` derives it).

Rows. A batch holds the branches of guidance one after the other, each with the same B latents: ``copies`` is the number
of branches. Until a row has met its text all copies are equal, since z and t are, so the map has B rows and is
``repeated`` inside the first text block, before it looks at the text. Branches that keep the anchor come first, so "has
an anchor" is a count, ``anchored``, and the anchor blocks run on a slice instead of multiplying by 0 or 1.

All of it is exact: results differ from the network's by rounding only.

Shape suffixes: B batch, C channels, H W feature size, N = H·W tokens, L text tokens, D text width.
"""

from itertools import count, repeat
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.networks.conditional_unet import ConditionalUNet, Features, KeysValues
from artv.networks.crops import Crops
from artv.networks.deep_features import DeepFeatures
from artv.networks.fast.blocks import Ahead, AnchorBlock, Conv, GroupNorm, Resize, Resnet, TextBlock, repeated
from artv.networks.fast.shallow import shallow


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

    def within(self, crops: Crops) -> "Frozen":
        """For crops of the frame, as :meth:`Features.within`. Does not wait for a GPU."""
        rows, keep = crops.rows, self.keep_anchor_B
        anchored = sum(row < self.anchored for row in rows)  # rows ascend, so these come first
        seen = crops._replace(rows=rows[:anchored])
        return Frozen(
            tuple(
                crops.crop(f, 2**level).contiguous(memory_format=torch.channels_last)
                for level, f in enumerate(self.refs)
            ),
            tuple((seen.take(k), seen.take(v)) for k, v in self.anchor),
            anchored,
            None if keep is None else crops.take(keep),
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
        self.sites = [TextBlock(site) for site, _ in network.attention_sites()]
        self.anchor_blocks = [AnchorBlock(block) for block in network.anchor_blocks]
        self.attends = [hasattr(block, "attentions") for block in (*unet.down_blocks, *unet.up_blocks)]
        pairs = zip(self.sites, self.anchor_blocks or repeat(None), strict=False)
        following = iter([Ahead(site, anchor) for site, anchor in pairs])

        def resnets(block: Any, attends: bool) -> list[Resnet]:
            return [Resnet(r, next(following) if attends else None) for r in block.resnets]

        depth = len(unet.down_blocks)
        self.down = [resnets(*pair) for pair in zip(unet.down_blocks, self.attends[:depth], strict=True)]
        first, *others = unet.mid_block.resnets
        self.middle = [Resnet(first, next(following)), *(Resnet(r, None) for r in others)]
        self.up = [resnets(*pair) for pair in zip(unet.up_blocks, self.attends[depth:], strict=True)]
        self.time_widths = [r.conv1.bias.numel() for level in (*self.down, self.middle, *self.up) for r in level]
        self.downsample = [[Resize(d.conv) for d in block.downsamplers or ()] for block in unet.down_blocks]
        self.upsample = [[Resize(u.conv, doubles=True) for u in block.upsamplers or ()] for block in unet.up_blocks]
        self.conv_in, self.norm_out, self.conv_out = (
            Conv(unet.conv_in),
            GroupNorm(unet.conv_norm_out),
            Conv(unet.conv_out),
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
        """The network's own call, from what :meth:`time`, :meth:`text` and :meth:`Frozen.of` returned.

        ``copies``: the rows of text and features are so many times the rows of ``z``, one after the other.
        """
        if deep is not None:
            deep.check(sum(map(len, self.up)))
        if deep is not None and deep.filled:
            return shallow(self, z_BCHW, time, text, features, deep, copies)
        biases, attends, sites = iter(time.split(self.time_widths)), iter(self.attends), count()

        def step(resnet: Resnet, attends: bool, h: Tensor, skip: Tensor | None = None) -> Tensor:
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
                h = conv(h)
        return self.conv_out(self.norm_out.silu(h))

    def step(
        self,
        resnet: "Resnet",
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
