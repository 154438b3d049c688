"""ART-V's two networks, composed into one noise prediction.

Shape suffixes: B batch, K reference frames, C latent channels, H W latent size, L text tokens, D text width.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from artv.composition import compose, copied_noise
from artv.config import PRESETS, ModelConfig
from artv.networks.conditional_unet import ConditionalUNet, Features, KeysValues
from artv.networks.crops import Crops
from artv.networks.deep_features import DeepPair
from artv.networks.present import Present, Rows
from artv.networks.streams import SideStream
from artv.schedule import NoiseSchedule


@dataclass(frozen=True)
class Conditions:
    """What one frame is predicted from.

    ``refs_BKCHW``: the latest K latents, oldest first, as the adapters see them (perhaps noised).
    ``copy_BCHW``: the newest one, clean: what the mask copies. ``anchor_BCHW``: the anchor frame's latent.
    ``keep_ref_B`` / ``keep_anchor_B``: 1.0 where the condition is present, 0.0 where it is dropped.
    ``text_BLD``: text embedding (the empty prompt's where the text is dropped).
    """

    refs_BKCHW: Tensor
    copy_BCHW: Tensor
    anchor_BCHW: Tensor
    keep_ref_B: Tensor
    keep_anchor_B: Tensor
    text_BLD: Tensor


AnchorPair = tuple[tuple[KeysValues, ...], tuple[KeysValues, ...] | None]
"""Keys and values of an anchor frame at every site of the dynamic and of the mask network."""


class Encoded(NamedTuple):
    """Features of the conditioning frames for both networks, and the latent to copy.

    ``mask_rows``: the samples that the mask network is asked about, where the others copy nothing; None: all.
    """

    dynamic: Features
    mask: Features | None
    copy_BCHW: Tensor
    keep_ref_B: Tensor
    mask_rows: Rows | None = None

    def select(self, index_N: Tensor, keep_ref_N: Tensor, keep_anchor_N: Tensor) -> "Encoded":
        """Rows ``index_N``, with conditions dropped where a ``keep`` is 0."""
        return Encoded(
            self.dynamic.select(index_N, keep_ref_N, keep_anchor_N),
            self.mask.select(index_N, keep_ref_N, keep_anchor_N) if self.mask else None,
            self.copy_BCHW.index_select(0, index_N),
            self.keep_ref_B.index_select(0, index_N) * keep_ref_N,
        )


class Prediction(NamedTuple):
    """``eps_BCHW``: the noise. ``mask_B1HW``: in [0, 1], 1 = copied from the reference; None without a mask network.

    ``dynamic_BCHW``: where there is a mask, the noise of the dynamic network alone.
    ``rows``: whole rows' worth of positions that the dynamic network was evaluated at; None: all.
    """

    eps_BCHW: Tensor
    mask_B1HW: Tensor | None
    dynamic_BCHW: Tensor | None = None
    rows: float | None = None


class ArtVModel(ModelMixin, ConfigMixin):
    """The dynamic-noise network and the mask network (Table 1). ``mask_network`` is None in the ablation without it.

    Saved and loaded as any diffusers model: ``save_pretrained`` (safetensors, sharded), ``from_pretrained``.

    ``side_stream.on``: on CUDA, run the two networks on two streams. Same results; shorter where launches or small
    kernels leave the GPU waiting.
    """

    config_name = "config.json"
    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self, dynamic: dict[str, Any], mask: dict[str, Any] | None, num_refs: int = 2, anchor: bool = True
    ) -> None:
        super().__init__()
        sizes = ModelConfig.from_dict({"dynamic": dynamic, "mask": mask, "num_refs": num_refs, "anchor": anchor})

        def network(size) -> ConditionalUNet:
            return ConditionalUNet(
                size.unet(), num_refs=num_refs, latent_channels=sizes.dynamic.in_channels, anchor=anchor
            )

        self.sizes = sizes
        self.dynamic_network = network(sizes.dynamic)
        self.mask_network = network(sizes.mask) if sizes.mask else None
        self.schedule = NoiseSchedule()
        self.side_stream = SideStream()

    @classmethod
    def from_config(
        cls, config: Any = None, *, preset: str | None = None, mask: bool = True, anchor: bool = True, **kw
    ):
        """A model with random weights, from a preset (``paper``, ``shapes``), a ModelConfig or a stored config."""
        if preset is not None:
            if preset not in PRESETS:
                raise ValueError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
            config = PRESETS[preset](mask=mask, anchor=anchor)
        if isinstance(config, ModelConfig):
            return cls(**config.to_dict())
        return super().from_config(config, **kw)

    @staticmethod
    def sizes_of(preset: str, *, mask: bool = True, anchor: bool = True) -> ModelConfig:
        """The sizes that a preset gives its networks."""
        return PRESETS[preset](mask=mask, anchor=anchor)

    def anchor_features(self, anchor_BCHW: Tensor) -> AnchorPair:
        """What both networks see of an anchor frame."""
        anchor_BCHW = anchor_BCHW.to(self.dynamic_network.unet.conv_in.weight.dtype)
        with self.side_stream.beside(anchor_BCHW.device):
            mask = None if self.mask_network is None else self.mask_network.anchor_features(anchor_BCHW)
        return self.dynamic_network.anchor_features(anchor_BCHW), mask

    def encode(self, c: Conditions, anchor: AnchorPair | None = None) -> Encoded:
        """Features of the conditioning frames: once a frame, not once an evaluation.

        ``anchor``: :meth:`anchor_features` of ``c.anchor_BCHW``, where they are known.
        """
        anchor_dynamic, anchor_mask = self.anchor_features(c.anchor_BCHW) if anchor is None else anchor
        refs_BKCHW, keep = (
            c.refs_BKCHW.to(self.dynamic_network.unet.conv_in.weight.dtype),
            (c.keep_ref_B, c.keep_anchor_B),
        )
        mask = None
        with self.side_stream.beside(refs_BKCHW.device):
            if self.mask_network is not None and anchor_mask is not None:
                mask = self.mask_network.encode(refs_BKCHW, anchor_mask, *keep)
        dynamic = self.dynamic_network.encode(refs_BKCHW, anchor_dynamic, *keep)
        return Encoded(dynamic, mask, c.copy_BCHW, c.keep_ref_B)

    def predict(
        self,
        z_BCHW: Tensor,
        t_B: Tensor,
        text_BLD: Tensor,
        encoded: Encoded,
        *,
        use_mask: bool = True,
        deep: DeepPair | None = None,
    ) -> Prediction:
        """Composed noise for a noisy latent at integer timesteps ``t_B``, in the dtype of ``z_BCHW``.

        The networks run in their own dtype; the composition in float32, so that a half-precision model still copies
        exactly. ``use_mask=False`` leaves the mask network out: the dynamic network alone. ``deep``: where both
        networks keep the features of their deep part, or take them from (:func:`artv.networks.deep_features`).
        """
        z_in = z_BCHW.to(self.dynamic_network.unet.conv_in.weight.dtype)
        deep_dynamic, deep_mask = deep or (None, None)
        if self.mask_network is None or encoded.mask is None or not use_mask:
            dynamic = self.dynamic_network(z_in, t_B, text_BLD, encoded.dynamic, deep_dynamic)
            return Prediction(dynamic.to(z_BCHW.dtype), None)
        rows = encoded.mask_rows or Rows(0, len(z_in))
        with self.side_stream.beside(z_in.device):
            some = rows.of(z_in), rows.of(t_B.expand(len(z_in))), rows.of(text_BLD)
            logits = self.mask_network(*some, encoded.mask, deep_mask)
        dynamic = self.dynamic_network(z_in, t_B, text_BLD, encoded.dynamic, deep_dynamic)
        self.side_stream.join(logits)
        mask = logits.float().sigmoid()
        mask = mask if encoded.mask_rows is None else rows.padded(mask, len(z_in))
        mask = mask * encoded.keep_ref_B.view(-1, 1, 1, 1)
        a, s = self.schedule.a_s(t_B)
        eps = compose(mask, copied_noise(z_BCHW.float(), encoded.copy_BCHW.float(), a, s), dynamic.float())
        return Prediction(eps.to(z_BCHW.dtype), mask, dynamic)

    def predict_at(
        self,
        z_BCHW: Tensor,
        t: int,
        text_BLD: Tensor,
        encoded: Encoded,
        *,
        use_mask: bool = True,
        deep: DeepPair | None = None,
    ) -> Prediction:
        """:meth:`predict` with every row at the same timestep, as samplers have it."""
        t_B = torch.full((z_BCHW.shape[0],), t, device=z_BCHW.device)
        return self.predict(z_BCHW, t_B, text_BLD, encoded, use_mask=use_mask, deep=deep)

    def mask_at(self, z_BCHW: Tensor, t: int, text_BLD: Tensor, encoded: Encoded) -> Tensor | None:
        """The mask of :meth:`predict_at` alone, (B, 1, H, W); None without a mask network."""
        if self.mask_network is None or encoded.mask is None:
            return None
        t_B = torch.full((z_BCHW.shape[0],), t, device=z_BCHW.device)
        logits = self.mask_network(z_BCHW.to(self.dtype), t_B, text_BLD, encoded.mask)
        return logits.float().sigmoid() * encoded.keep_ref_B.view(-1, 1, 1, 1)

    def dynamic_at(self, z_BCHW: Tensor, t: int, text_BLD: Tensor, encoded: Encoded, crops: Crops) -> Tensor:
        """The dynamic network's noise within crops, (M, C, h, w): it sees no more of latent and references.

        The anchor is seen whole. With all of every row it is the dynamic noise of :meth:`predict_at`.
        """
        t_M = torch.full((len(crops.rows),), t, device=z_BCHW.device)
        z_MChw, text_MLD = crops.crop(z_BCHW), crops.take(text_BLD)
        return self.dynamic_network(z_MChw.to(self.dtype), t_M, text_MLD, encoded.dynamic.within(crops))

    def forward(
        self, z_BCHW: Tensor, t_B: Tensor, conditions: Conditions, present: Present | None = None
    ) -> Prediction:
        """``predict`` from the conditions themselves; what training calls.

        ``present``: where they can be present; the same result, and less to compute.
        """
        encoded = self.encode(conditions) if present is None else self._encode_some(conditions, present)
        return self.predict(z_BCHW, t_B, conditions.text_BLD, encoded)

    def _encode_some(self, c: Conditions, present: Present) -> Encoded:
        """:meth:`encode` of the samples where there is something to encode."""
        refs, anchor, dtype = present.refs, present.anchor, self.dynamic_network.unet.conv_in.weight.dtype
        both = anchor.among(refs)  # of the mask network's samples
        refs_NKCHW, keep_ref_N = refs.of(c.refs_BKCHW).to(dtype), refs.of(c.keep_ref_B)
        anchor_BCHW, mask = c.anchor_BCHW.to(dtype), None
        with self.side_stream.beside(refs_NKCHW.device):
            if self.mask_network is not None:
                seen = self.mask_network.anchor_features(both.of(refs.of(anchor_BCHW)))
                keep = keep_ref_N, both.of(refs.of(c.keep_anchor_B))
                mask = self.mask_network.encode(refs_NKCHW, seen, *keep, anchor_rows=both)
        seen = self.dynamic_network.anchor_features(anchor.of(anchor_BCHW))
        keep = keep_ref_N, anchor.of(c.keep_anchor_B)
        dynamic = self.dynamic_network.encode(refs_NKCHW, seen, *keep, refs_rows=refs, anchor_rows=anchor)
        return Encoded(dynamic, mask, c.copy_BCHW, c.keep_ref_B, refs)
