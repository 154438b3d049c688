"""One network of ART-V: a latent-diffusion UNet that also sees reference frames and an anchor frame (Table 1).

    UNet (diffusers, text by cross-attention)
      + T2I-Adapter over the reference frames, added at the end of each down block
      + an anchor block at each attention site, over features of the same adapter fed the anchor frame

The UNet and the adapter are diffusers' own modules, with their own state-dict keys, so that SD-2.1 loads unchanged.
Only the walk through the blocks is written here, because the anchor blocks sit between their parts.

Shape suffixes: B batch, K reference frames, C channels, H W latent size, L text tokens, D text width.
"""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import T2IAdapter, UNet2DConditionModel
from torch import Tensor, nn

from artv.networks.anchor_block import AnchorBlock

KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Features:
    """What a network derives from the frames that condition it; fixed while one frame is being denoised.

    ``refs``: a feature map a UNet level, zero where the references are dropped. ``anchor``: keys and values a site.
    ``keep_anchor_B``: 0 where the anchor is dropped.
    """

    refs: tuple[Tensor, ...]
    anchor: tuple[KeysValues, ...]
    keep_anchor_B: Tensor

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

    def encode(self, refs_BKCHW: Tensor, anchor_BCHW: Tensor, keep_ref_B: Tensor, keep_anchor_B: Tensor) -> Features:
        """Everything that depends only on the conditioning frames, not on the noisy latent or the timestep."""
        keep = keep_ref_B.view(-1, 1, 1, 1)
        refs = tuple(f * keep.to(f.dtype) for f in self.adapter(refs_BKCHW.flatten(1, 2)))
        return Features(refs, self.anchor_features(anchor_BCHW), keep_anchor_B)

    def forward(self, z_BCHW: Tensor, t_B: Tensor, text_BLD: Tensor, features: Features | None = None) -> Tensor:
        """Predicts from the noisy latent.

        Args:
            z_BCHW: noisy latent, variance-preserving; H and W divisible by 2**(levels − 1).
            t_B: timesteps, 0…999.
            text_BLD: text embedding.
            features: of the conditioning frames; ``None`` leaves the UNet as it is without any.

        Returns:
            (B, out_channels, H, W).
        """
        unet = self.unet
        time = unet.time_embedding(unet.time_proj(t_B.expand(z_BCHW.shape[0])).to(z_BCHW.dtype))
        site = iter(range(len(self.site_levels)))

        def attend(attention: nn.Module, h: Tensor) -> Tensor:
            h = attention(h, encoder_hidden_states=text_BLD, return_dict=False)[0]
            i = next(site)
            if features is None or not self.has_anchor:
                return h
            return self.anchor_blocks[i](h, features.anchor[i], features.keep_anchor_B)

        h = unet.conv_in(z_BCHW)
        skips = [h]
        for level, block in enumerate(unet.down_blocks):
            attentions = getattr(block, "attentions", None)
            for j, resnet in enumerate(block.resnets):
                h = resnet(h, time)
                h = attend(attentions[j], h) if attentions else h
                if j == len(block.resnets) - 1 and features is not None:
                    h = h + features.refs[level]
                skips.append(h)
            for downsample in block.downsamplers or ():
                h = downsample(h)
                skips.append(h)

        h = unet.mid_block.resnets[0](h, time)
        for attention, resnet in zip(unet.mid_block.attentions, unet.mid_block.resnets[1:], strict=True):
            h = resnet(attend(attention, h), time)

        for block in unet.up_blocks:
            attentions = getattr(block, "attentions", None)
            for j, resnet in enumerate(block.resnets):
                h = resnet(torch.cat([h, skips.pop()], dim=1), time)
                h = attend(attentions[j], h) if attentions else h
            for upsample in block.upsamplers or ():
                h = upsample(h)

        return unet.conv_out(unet.conv_act(unet.conv_norm_out(h)))
