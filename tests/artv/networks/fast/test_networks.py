"""What an inference network is given of a frame: rows with an anchor as a number, crops, copies; whom it stands for."""

import pytest
import torch

from artv.config import NetworkConfig
from artv.networks.conditional_unet import ConditionalUNet, Features
from artv.networks.crops import Crops
from artv.networks.fast.networks import Frozen, InferenceNetwork

SIZES = {"channels": (8, 16), "heads": (1, 2), "attention": (True, False), "layers": 1, "text_dim": 12}
SIZES |= {"out_channels": 4, "norm_groups": 4, "sample_size": 8}


def features(keep, sites=2):
    N = len(keep)
    g = torch.Generator().manual_seed(0)
    refs = tuple(torch.randn(N, c, s, s, generator=g) for c, s in ((8, 8), (16, 4)))
    pairs = tuple((torch.randn(N, 2, 5, 4, generator=g), torch.randn(N, 2, 5, 4, generator=g)) for _ in range(sites))
    return Features(refs, pairs, torch.tensor(keep))


@pytest.mark.parametrize(
    ("keep", "anchored"),
    [([1.0, 1.0, 0.0], 2), ([1.0, 1.0], 2), ([0.0, 0.0], 0), ([1.0], 1)],
)
def test_rows_with_an_anchor_that_come_first_are_a_number(keep, anchored):
    given = features(keep)
    frozen = Frozen.of(given)
    assert (frozen.anchored, frozen.keep_anchor_B, frozen.folded) == (anchored, None, anchored)
    for (k, v), (whole_k, whole_v) in zip(frozen.anchor, given.anchor, strict=True):
        assert torch.equal(k, whole_k[:anchored]) and torch.equal(v, whole_v[:anchored])


@pytest.mark.parametrize("keep", [[0.0, 1.0], [1.0, 0.0, 1.0], [0.5, 0.0], [1.0, 0.5]])
def test_rows_in_another_order_keep_what_they_have(keep):
    given = features(keep)
    frozen = Frozen.of(given)
    assert torch.equal(frozen.keep_anchor_B, given.keep_anchor_B)
    assert frozen.anchored == len(keep) and frozen.folded == 0, "no bias may be added ahead for them"
    assert all(torch.equal(a, b) for pair, whole in zip(frozen.anchor, given.anchor, strict=True)
               for a, b in zip(pair, whole, strict=True))  # fmt: skip


def test_without_anchor_blocks_nothing_is_folded():
    assert Frozen.of(features([1.0, 1.0], sites=0)).folded == 0


@pytest.mark.parametrize("keep", [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
def test_a_clone_has_the_same_values_in_its_own_memory(keep):
    frozen = Frozen.of(features(keep))
    clone = frozen.clone()
    assert len(clone.tensors()) == len(frozen.tensors()) == 2 + 4 + (frozen.keep_anchor_B is not None)
    for a, b in zip(clone.tensors(), frozen.tensors(), strict=True):
        assert torch.equal(a, b) and a.data_ptr() != b.data_ptr() and a.stride() == b.stride()


@pytest.mark.parametrize("keep", [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("rows", [(0,), (2,), (0, 2), (1, 2), (0, 1, 2)])
def test_crops_of_what_was_frozen_are_what_is_frozen_of_crops(keep, rows):
    given = features(keep)
    crops = Crops(rows, tuple((2 * i, 4 - 2 * i) for i in range(len(rows))), (4, 4))
    found, expected = Frozen.of(given).within(crops), given.within(crops)
    for a, b in zip(found.refs, expected.refs, strict=True):
        assert torch.equal(a, b) and a.is_contiguous(memory_format=torch.channels_last)
    kept = [keep[row] for row in rows]
    seen = found.keep_anchor_B.tolist() if found.keep_anchor_B is not None else [1.0] * found.anchored
    assert seen == kept[: len(seen)] and not any(kept[len(seen) :])
    for (k, _), (whole, _) in zip(found.anchor, expected.anchor, strict=True):
        assert torch.equal(k, whole[: len(k)]) and len(k) == found.anchored


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return ConditionalUNet(NetworkConfig(**SIZES).unet()).eval().requires_grad_(False)


@pytest.mark.parametrize("t", [0, 417, 999])
def test_a_timestep_is_the_bias_of_every_residual_block(network, t):
    """What diffusers' blocks add after their first convolution, and that convolution's own bias, in their order."""
    unet = network.unet
    found = InferenceNetwork(network).time(torch.tensor(t), torch.float32)
    embedding = unet.time_embedding(unet.time_proj(torch.tensor([t])))
    blocks = [r for b in (*unet.down_blocks, unet.mid_block, *unet.up_blocks) for r in b.resnets]
    expected = [r.conv1.bias + r.time_emb_proj(torch.nn.functional.silu(embedding))[0] for r in blocks]
    torch.testing.assert_close(found, torch.cat(expected))


def test_keys_and_values_of_the_text_are_those_of_each_site(network):
    text = torch.randn(2, 7, 12)
    for (k, v), (site, _) in zip(InferenceNetwork(network).text(text), network.attention_sites(), strict=True):
        attention = site.transformer_blocks[0].attn2
        for found, layer in ((k, attention.to_k), (v, attention.to_v)):
            assert torch.allclose(found.transpose(1, 2).flatten(2), layer(text), atol=1e-6)
            assert found.shape[1] == attention.heads


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"use_linear_projection": False}, False),
        ({"act_fn": "gelu"}, False),
        ({"resnet_time_scale_shift": "scale_shift"}, False),
        ({"mid_block_scale_factor": 2}, False),
        ({"downsample_padding": 0}, False),
        ({"transformer_layers_per_block": 2}, False),
    ],
    ids=str,
)
def test_other_unets_are_not_stood_for(changes, fits):
    network = ConditionalUNet({**NetworkConfig(**SIZES).unet(), **changes})
    assert InferenceNetwork.fits(network) == fits
