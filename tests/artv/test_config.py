"""Sizes of the networks against SD-2.1's published configuration, and what cannot be a network."""

import dataclasses
import json

import pytest
import torch
from diffusers import UNet2DConditionModel

from artv.config import PRESETS, ModelConfig, NetworkConfig, paper, shapes

SIZES = {"channels": (32, 64), "heads": (2, 4), "attention": (True, False), "layers": 1, "text_dim": 8}
SIZES |= {"out_channels": 4, "norm_groups": 8}

SD_21_BASE = {
    "act_fn": "silu",
    "attention_head_dim": [5, 10, 20, 20],
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 1024,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "use_linear_projection": True,
}
"""``unet/config.json`` of stable-diffusion-2-1-base, but what diffusers added as a default later."""


def test_the_dynamic_network_is_sd_21s_unet():
    assert paper().dynamic.unet() == SD_21_BASE


@pytest.mark.parametrize(
    ("network", "channels", "head_dim", "out", "millions"),
    [(paper().dynamic, [320, 640, 1280, 1280], 64, 4, 865.91), (paper().mask, [64, 128, 256, 256], 32, 1, 38.80)],
    ids=["dynamic", "mask"],
)
def test_table_1(network, channels, head_dim, out, millions):
    """Widths, width of a head at every level, and the parameters that they come to."""
    assert list(network.channels) == channels and network.out_channels == out and network.text_dim == 1024
    assert [c / heads for c, heads in zip(network.channels, network.heads, strict=True)] == [head_dim] * 4
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(network.unet())
    assert sum(p.numel() for p in unet.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("anchor", [True, False])
def test_switches_take_away_what_they_name_and_nothing_else(preset, mask, anchor):
    whole, switched = PRESETS[preset](), PRESETS[preset](mask=mask, anchor=anchor)
    assert whole.mask is not None and whole.anchor
    assert switched == dataclasses.replace(whole, mask=whole.mask if mask else None, anchor=anchor)


@pytest.mark.parametrize("config", [paper(), shapes(mask=False), shapes(anchor=False)], ids=["paper", "bare", "still"])
def test_a_configuration_survives_a_checkpoints_json(config):
    stored = json.loads(json.dumps({"_class_name": "ArtVModel", "_diffusers_version": "0.42.1", **config.to_dict()}))
    assert ModelConfig.from_dict(stored) == config and hash(ModelConfig.from_dict(stored)) == hash(config)


def test_a_checkpoint_of_before_a_setting_was_there_has_its_default():
    stored = shapes().to_dict()
    del stored["num_refs"], stored["anchor"], stored["dynamic"]["sample_size"]
    found = ModelConfig.from_dict(stored)
    assert (found.num_refs, found.anchor, found.dynamic.sample_size) == (2, True, 64)


def test_levels_attend_where_it_says_on_the_way_down_and_up():
    unet = NetworkConfig(**SIZES).unet()
    assert unet["down_block_types"] == ["CrossAttnDownBlock2D", "DownBlock2D"]
    assert unet["up_block_types"] == ["UpBlock2D", "CrossAttnUpBlock2D"]
    model = UNet2DConditionModel.from_config(unet)
    assert [hasattr(block, "attentions") for block in model.down_blocks] == [True, False]
    assert [hasattr(block, "attentions") for block in model.up_blocks] == [False, True]
    assert [a.transformer_blocks[0].attn1.heads for a in model.down_blocks[0].attentions] == [2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": ()}, "as many levels"),
        ({"heads": (2,)}, "as many levels"),
        ({"attention": (True, False, True)}, "as many levels"),
        ({"layers": 0}, "at least 1"),
        ({"text_dim": -1}, "at least 1"),
        ({"out_channels": 0}, "at least 1"),
        ({"in_channels": 0}, "at least 1"),
        ({"sample_size": 0}, "at least 1"),
        ({"channels": (32, 0)}, "at least 1"),
        ({"heads": (0, 4)}, "at least 1"),
        ({"heads": (3, 4)}, "channels 32 must be a multiple of heads 3"),
        ({"heads": (2, 5)}, "channels 64 must be a multiple of heads 5"),
        ({"norm_groups": 48}, "and of 48 groups"),
    ],
)
def test_what_cannot_be_a_network_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        NetworkConfig(**{**SIZES, **changes})


@pytest.mark.parametrize(("name", "changes"), [
    ("dynamic", {"dynamic": {"out_channels": 1}}),
    ("mask", {"mask": {"out_channels": 4}}),
    ("mask", {"mask": {"out_channels": 1, "text_dim": 5}}),
    ("mask", {"mask": {"out_channels": 1, "in_channels": 8}}),
])  # fmt: skip
def test_the_two_networks_read_the_same_and_give_noise_and_a_mask(name, changes):
    networks = {key: NetworkConfig(**{**SIZES, **changed}) for key, changed in ({"dynamic": {}} | changes).items()}
    with pytest.raises(ValueError, match=f"the {name} network has in_channels, text_dim and out_channels"):
        ModelConfig(**({"mask": None} | networks))


def test_at_least_one_reference():
    with pytest.raises(ValueError, match="num_refs is 0; it must be at least 1"):
        ModelConfig(dynamic=NetworkConfig(**SIZES), mask=None, num_refs=0)
