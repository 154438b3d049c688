"""Configurations of the networks, and the two presets as functions that return them.

``paper`` is Table 1 of the supplementary; ``shapes`` is the same classes at a size that a laptop's CPU runs.
"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Size of one :class:`~artv.networks.ConditionalUNet`.

    Args:
        channels: width of each level, the first at full latent size.
        heads: attention heads of each level.
        attention: which levels attend (to text, and to the anchor).
        layers: residual blocks a level on the way down (one more on the way up).
        text_dim: width of the text embedding.
        out_channels: 4 for noise, 1 for a mask.
        norm_groups: groups of every group normalisation; must divide each width.
    """

    channels: tuple[int, ...]
    heads: tuple[int, ...]
    attention: tuple[bool, ...]
    layers: int
    text_dim: int
    out_channels: int
    norm_groups: int = 32
    in_channels: int = 4
    sample_size: int = 64

    def __post_init__(self) -> None:
        levels = len(self.channels)
        if not levels or len(self.heads) != levels or len(self.attention) != levels:
            raise ValueError(f"channels, heads and attention must name as many levels: {self}")
        numbers = (*self.channels, *self.heads, self.layers, self.text_dim, self.out_channels, self.norm_groups)
        if min(*numbers, self.in_channels, self.sample_size) < 1:
            raise ValueError(f"every size must be at least 1: {self}")
        for channels, heads in zip(self.channels, self.heads, strict=True):
            if channels % heads or channels % self.norm_groups:
                raise ValueError(
                    f"channels {channels} must be a multiple of heads {heads} and of {self.norm_groups} groups"
                )

    def unet(self) -> dict[str, Any]:
        """The configuration of diffusers' ``UNet2DConditionModel``, as SD-2.1 writes it."""
        down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in self.attention]
        up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(self.attention)]
        return {
            "act_fn": "silu",
            "attention_head_dim": list(self.heads),
            "block_out_channels": list(self.channels),
            "center_input_sample": False,
            "cross_attention_dim": self.text_dim,
            "down_block_types": down,
            "downsample_padding": 1,
            "flip_sin_to_cos": True,
            "freq_shift": 0,
            "in_channels": self.in_channels,
            "layers_per_block": self.layers,
            "mid_block_scale_factor": 1,
            "norm_eps": 1e-05,
            "norm_num_groups": self.norm_groups,
            "out_channels": self.out_channels,
            "sample_size": self.sample_size,
            "up_block_types": up,
            "use_linear_projection": True,
        }


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The two networks of ART-V. ``mask=None`` is the ablation without a mask: the dynamic network alone."""

    dynamic: NetworkConfig
    mask: NetworkConfig | None
    num_refs: int = 2
    anchor: bool = True

    def __post_init__(self) -> None:
        if self.num_refs < 1:
            raise ValueError(f"num_refs is {self.num_refs}; it must be at least 1")
        latent, text = self.dynamic.in_channels, self.dynamic.text_dim
        for name, network, given in (("dynamic", self.dynamic, latent), ("mask", self.mask, 1)):
            found = network and (network.in_channels, network.text_dim, network.out_channels)
            if found not in (None, (latent, text, given)):
                raise ValueError(
                    f"the {name} network has in_channels, text_dim and out_channels {found}; they must be "
                    f"{(latent, text, given)}: both networks read the same, and give noise and a mask"
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, as stored in a checkpoint's ``config.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelConfig":
        """Inverse of :meth:`to_dict`."""

        def network(stored: dict[str, Any] | None) -> NetworkConfig | None:
            if stored is None:
                return None
            fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
            return NetworkConfig(**fields)

        networks = {key: network(values[key]) for key in ("dynamic", "mask")}
        return cls(**{**{k: v for k, v in values.items() if k in cls.__dataclass_fields__}, **networks})


def paper(*, mask: bool = True, anchor: bool = True) -> ModelConfig:
    """Table 1: SD-2.1's UNet for the dynamic network, the same at channels 64 and head dim 32 for the mask network."""
    common: dict[str, Any] = {"attention": (True, True, True, False), "layers": 2, "text_dim": 1024}
    return ModelConfig(
        dynamic=NetworkConfig(channels=(320, 640, 1280, 1280), heads=(5, 10, 20, 20), out_channels=4, **common),
        mask=NetworkConfig(channels=(64, 128, 256, 256), heads=(2, 4, 8, 8), out_channels=1, **common)
        if mask
        else None,
        anchor=anchor,
    )


def shapes(*, mask: bool = True, anchor: bool = True) -> ModelConfig:
    """The synthetic world's model: 64×64 clips in 16×16 latents, three levels."""
    common: dict[str, Any] = {
        "attention": (False, True, True),
        "layers": 1,
        "text_dim": 96,
        "sample_size": 16,
    }
    return ModelConfig(
        dynamic=NetworkConfig(channels=(64, 64, 64), heads=(2, 2, 2), norm_groups=16, out_channels=4, **common),
        mask=NetworkConfig(channels=(16, 24, 24), heads=(1, 1, 1), norm_groups=8, out_channels=1, **common)
        if mask
        else None,
        anchor=anchor,
    )


PRESETS = {"paper": paper, "shapes": shapes}
