"""One network of ART-V: a latent-diffusion UNet that also sees reference frames and an anchor frame (Table 1).

    UNet (diffusers, text by cross-attention)
      + T2I-Adapter over the reference frames, added at the end of each down block
      + an anchor block at each attention site, over features of the same adapter fed the anchor frame

The UNet and the adapter are diffusers' own modules, with their own state-dict keys, so that SD-2.1 loads unchanged.
Only the walk through the blocks is written here, because the anchor blocks sit between their parts.

Shape suffixes: B batch, K reference frames, C channels, H W latent size, L text tokens, D text width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers import T2IAdapter, UNet2DConditionModel
from diffusers.models.downsampling import Downsample2D
from torch import Tensor, nn

from artv.networks.anchor_block import AnchorBlock
from artv.networks.crops import Crops
from artv.networks.deep_features import DeepFeatures
from artv.networks.present import Rows

KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Features:
    """What a network derives from the frames that condition it; fixed while one frame is being denoised.

    ``refs``: a feature map a UNet level, zero where the references are dropped. ``anchor``: keys and values a site.
    ``keep_anchor_B``: 0 where the anchor is dropped. ``refs_rows`` / ``anchor_rows``: the samples of the batch that
    these are features of, where the others have none; None: all.
    """

    refs: tuple[Tensor, ...]
    anchor: tuple[KeysValues, ...]
    keep_anchor_B: Tensor
    refs_rows: Rows | None = None
    anchor_rows: Rows | None = None

    def rows(self, index_N: Tensor) -> "Features":
        """Rows ``index_N`` of the batch."""
        ones = torch.ones(len(index_N), device=index_N.device)
        return self.select(index_N, ones, ones)

    def select(self, index_N: Tensor, keep_ref_N: Tensor, keep_anchor_N: Tensor) -> "Features":
        """Rows ``index_N`` of the batch, with conditions dropped where a ``keep`` is 0 (guidance branches)."""
        scale = keep_ref_N.view(-1, 1, 1, 1)
        return Features(
            refs=tuple(f.index_select(0, index_N) * scale.to(f.dtype) for f in self.refs),
            anchor=tuple((k.index_select(0, index_N), v.index_select(0, index_N)) for k, v in self.anchor),
            keep_anchor_B=self.keep_anchor_B.index_select(0, index_N) * keep_anchor_N,
        )

    def within(self, crops: Crops) -> "Features":
        """For crops of the frame: the references' maps inside them; the anchor is seen whole from each."""
        return Features(
            refs=tuple(crops.crop(f, 2**level) for level, f in enumerate(self.refs)),
            anchor=tuple((crops.take(k), crops.take(v)) for k, v in self.anchor),
            keep_anchor_B=crops.take(self.keep_anchor_B),
        )


class ConditionalUNet(nn.Module):
    """A UNet conditioned on text, reference frames and an anchor frame (Table 1 of the supplementary).

    Args:
        unet: configuration of :class:`diffusers.UNet2DConditionModel`.
        num_refs: reference frames that the adapter sees (the paper's ``cin`` 8 is two latents of 4 channels).
        latent_channels: channels of one latent frame.
        anchor: whether there are anchor blocks at all (a twin without them is an ablation).
    """

    def __init__(self, unet: dict[str, Any], *, num_refs: int = 2, latent_channels: int = 4, anchor: bool = True):
        super().__init__()
        self.unet = UNet2DConditionModel.from_config(unet)
        channels = list(self.unet.config.block_out_channels)
        self.num_refs = num_refs
        self.adapter = T2IAdapter(
            in_channels=num_refs * latent_channels,
            channels=channels,
            num_res_blocks=2,
            downscale_factor=1,
            adapter_type="full_adapter",
        )
        head_dims = self.unet.config.attention_head_dim
        head_dims = [head_dims] * len(channels) if isinstance(head_dims, int) else list(head_dims)
        widths = [site.config.in_channels for site, _ in self.attention_sites()]
        # diffusers calls the number of heads `attention_head_dim` in SD-2 configs (kept for old checkpoints)
        self.site_levels = [level for _, level in self.attention_sites()]
        self.anchor_blocks = nn.ModuleList(
            AnchorBlock(width, width // head_dims[level], int(self.unet.config.norm_num_groups))
            for width, level in zip(widths, self.site_levels, strict=True)
            if anchor
        )

    def attention_sites(self) -> list[tuple[Any, int]]:
        """The UNet's transformers in the order in which they run, each with its level (0 = full latent size)."""
        unet, last = self.unet, len(self.unet.down_blocks) - 1
        sites = [(a, i) for i, b in enumerate(unet.down_blocks) for a in getattr(b, "attentions", ())]
        sites += [(a, last) for a in getattr(unet.mid_block, "attentions", ())]
        return sites + [(a, last - i) for i, b in enumerate(unet.up_blocks) for a in getattr(b, "attentions", ())]

    @property
    def has_anchor(self) -> bool:
        """Whether this network looks at the anchor frame."""
        return len(self.anchor_blocks) > 0

    def anchor_features(self, anchor_BCHW: Tensor) -> tuple[KeysValues, ...]:
        """Keys and values of every site for an anchor latent: the adapter sees it in place of all references."""
        if not self.has_anchor:
            return ()
        maps = self.adapter(anchor_BCHW.repeat(1, self.num_refs, 1, 1))
        pairs = zip(self.anchor_blocks, self.site_levels, strict=True)
        return tuple(block.keys_values(maps[level]) for block, level in pairs)  # type: ignore[operator]

    def encode(
        self,
        refs_BKCHW: Tensor,
        anchor: tuple[KeysValues, ...],
        keep_ref_B: Tensor,
        keep_anchor_B: Tensor,
        refs_rows: Rows | None = None,
        anchor_rows: Rows | None = None,
    ) -> Features:
        """Everything that depends only on the conditioning frames, not on the noisy latent or the timestep.

        ``anchor``: of :meth:`anchor_features`. ``refs_rows`` / ``anchor_rows``: the samples that the references, the
        anchor and their ``keep`` are of, where the others have none.
        """
        keep = keep_ref_B.view(-1, 1, 1, 1)
        refs = tuple(f * keep.to(f.dtype) for f in self.adapter(refs_BKCHW.flatten(1, 2)))
        return Features(refs, anchor, keep_anchor_B, refs_rows, anchor_rows)

    def forward(
        self,
        z_BCHW: Tensor,
        t_B: Tensor,
        text_BLD: Tensor,
        features: Features | None = None,
        deep: DeepFeatures | None = None,
    ) -> Tensor:
        """Predicts from the noisy latent.

        Args:
            z_BCHW: noisy latent, variance-preserving; H and W divisible by 2**(levels − 1).
            t_B: timesteps, 0…999.
            text_BLD: text embedding.
            features: of the conditioning frames; ``None`` leaves the UNet as it is without any.
            deep: where the deep part's features are kept, or taken from if it is filled; ``None``: neither.

        Returns:
            (B, out_channels, H, W).
        """
        unet = self.unet
        time = unet.time_embedding(unet.time_proj(t_B.expand(z_BCHW.shape[0])).to(z_BCHW.dtype))
        numbers = {site: i for i, (site, _) in enumerate(self.attention_sites())}
        reused = None if deep is None else deep.h_BCHW

        def block(resnet: nn.Module, attention: nn.Module | None, h: Any) -> Tensor:
            h = resnet(h, time)
            return h if attention is None else attend(attention, h)

        def attend(attention: nn.Module, h: Tensor) -> Tensor:
            h = attention(h, encoder_hidden_states=text_BLD, return_dict=False)[0]
            if features is None or not self.has_anchor:
                return h
            i = numbers[attention]
            block = partial(self.anchor_blocks[i], keys_values=features.anchor[i], keep_B=features.keep_anchor_B)
            return block(h) if features.anchor_rows is None else features.anchor_rows.work(block, h)

        h = unet.conv_in(z_BCHW)
        skips = [h]
        downs, ups = self._way_down(), self._way_up()
        if deep is not None:
            deep.check(len(ups))
        if deep is not None and deep.filled:
            downs, ups = downs[: deep.blocks - 1], ups[-deep.blocks :]
        for part, attention, refs_level in downs:
            h = part(h) if isinstance(part, Downsample2D) else block(part, attention, h)
            if refs_level is not None and features is not None:
                refs, rows = features.refs[refs_level], features.refs_rows
                h = h + refs if rows is None else rows.work(refs.add, h)
            skips.append(h)

        h = self._middle(h, time, attend) if reused is None else reused

        for resnet, attention, upsample in ups:
            if deep is not None and len(skips) == deep.blocks:
                deep.h_BCHW = h
            h = block(resnet, attention, self._joined(h, skips.pop()))
            h = h if upsample is None else upsample(h)

        return unet.conv_out(unet.conv_act(unet.conv_norm_out(h)))

    @staticmethod
    def _joined(h_BCHW: Tensor, skip_BCHW: Tensor) -> Any:
        """What a residual block on the way up is given."""
        return torch.cat([h_BCHW, skip_BCHW], dim=1)

    def _way_down(self) -> list[tuple[Any, Any, int | None]]:
        """Parts after each of which there is a skip connection: residual block or downsampler, the attention after
        it, and the level of the reference features that are added last."""
        parts: list[tuple[Any, Any, int | None]] = []
        for level, block in enumerate(self.unet.down_blocks):
            blocks = list(_with_attention(block))
            parts += [(*pair, None) for pair in blocks[:-1]] + [(*blocks[-1], level)]
            parts += [(downsample, None, None) for downsample in block.downsamplers or ()]
        return parts

    def _way_up(self) -> list[tuple[Any, Any, Any]]:
        """Residual blocks that take one skip connection each, the attention after it, and the upsampler after that."""
        parts: list[tuple[Any, Any, Any]] = []
        for block in self.unet.up_blocks:
            blocks = list(_with_attention(block))
            (upsample,) = block.upsamplers or (None,)
            parts += [(*pair, None) for pair in blocks[:-1]] + [(*blocks[-1], upsample)]
        return parts

    def _middle(self, h: Tensor, time: Tensor, attend: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
        middle = self.unet.mid_block
        h = middle.resnets[0](h, time)
        for attention, resnet in zip(middle.attentions, middle.resnets[1:], strict=True):
            h = resnet(attend(attention, h), time)
        return h


def _with_attention(block: Any) -> Iterator[tuple[Any, Any]]:
    """Each residual block of a level with the transformer after it, or None."""
    attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)
    return zip(block.resnets, attentions, strict=True)
