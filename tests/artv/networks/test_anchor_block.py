"""The anchor block against diffusers' transformer block with the same weights, and its size against the paper's."""

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import nn

from artv.networks.anchor_block import AnchorBlock

C, HEAD = 24, 8


@pytest.fixture(scope="module")
def block():
    torch.manual_seed(0)
    block = AnchorBlock(C, HEAD, norm_groups=3).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block.requires_grad_(False)


@pytest.fixture(scope="module")
def theirs(block):
    """Its only attention looks at given keys and values, as wide as itself."""
    other = BasicTransformerBlock(C, C // HEAD, HEAD, cross_attention_dim=C, only_cross_attention=True).double()
    other.requires_grad_(False)
    pairs = {
        "norm1": block.norm_attention, "attn1.to_q": block.to_q, "attn1.to_k": block.to_k, "attn1.to_v": block.to_v,
        "attn1.to_out.0": block.to_out, "norm3": block.norm_feed_forward, "ff": block.feed_forward,
    }  # fmt: skip
    for name, module in pairs.items():
        other.get_submodule(name).load_state_dict(module.state_dict())
    other.attn2 = None
    return other


def maps(seed, B=2, H=3, W=5):
    return torch.randn(B, C, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("anchor_size", [(3, 5), (2, 2), (1, 1)])
def test_it_is_a_transformer_block_over_the_anchors_features(block, theirs, anchor_size):
    x, anchor = maps(1), maps(2, H=anchor_size[0], W=anchor_size[1])
    tokens = block.proj_in(block.norm(x).flatten(2).transpose(1, 2))
    seen = block.norm_anchor(anchor.flatten(2).transpose(1, 2))
    expected = x + block.proj_out(theirs(tokens, encoder_hidden_states=seen)).transpose(1, 2).view_as(x)
    found = block(x, block.keys_values(anchor), torch.ones(2))
    torch.testing.assert_close(found, expected)


def test_keys_and_values_have_a_place_for_each_position_of_the_anchor(block):
    keys, values = block.keys_values(maps(2, H=2, W=4))
    assert keys.shape == values.shape == (2, C // HEAD, 8, HEAD)


def test_the_order_of_the_anchors_positions_does_not_matter(block):
    """It has no place embedding of its own: the features bring theirs."""
    x, anchor, keep = maps(1), maps(2), torch.ones(2)
    turned = anchor.flatten(2)[..., torch.randperm(15)].view_as(anchor)
    torch.testing.assert_close(block(x, block.keys_values(anchor), keep), block(x, block.keys_values(turned), keep))


@pytest.mark.parametrize("keep", [[1.0, 0.0], [0.0, 0.0], [0.25, 1.0]])
def test_what_a_sample_keeps_of_the_block(block, keep):
    x, pair = maps(1), block.keys_values(maps(2))
    whole = block(x, pair, torch.ones(2)) - x
    found = block(x, pair, torch.tensor(keep))
    torch.testing.assert_close(found, x + torch.tensor(keep).double().view(2, 1, 1, 1) * whole)
    for row, share in enumerate(keep):
        assert share or torch.equal(found[row], x[row]), "to the bit, where it is dropped"


def test_samples_do_not_see_each_other(block):
    x, anchor, keep = maps(1, B=3), maps(2, B=3), torch.ones(3)
    joint = block(x, block.keys_values(anchor), keep)
    for i in range(3):
        alone = block(x[i : i + 1], block.keys_values(anchor[i : i + 1]), keep[:1])
        torch.testing.assert_close(joint[i : i + 1], alone)


def test_a_new_block_is_the_identity_and_learns():
    block = AnchorBlock(C, HEAD, norm_groups=3)
    x, anchor = maps(1).float(), maps(2).float()
    y = block(x, block.keys_values(anchor), torch.ones(2))
    assert torch.equal(y, x)
    (y * torch.randn_like(y)).sum().backward()
    assert block.proj_out.weight.grad.norm() > 0 and block.proj_out.bias.grad.norm() > 0


@pytest.mark.parametrize("channels", [64, 320, 1280])
def test_its_weights_are_18_times_the_width_squared(channels):
    """What remains of Table 1 without UNet and adapter, at every attention site; biases and norms are a width each."""
    with torch.device("meta"):
        block = AnchorBlock(channels, 32)
    matrices = sum(p.numel() for p in block.parameters() if p.ndim > 1)
    rest = sum(p.numel() for p in block.parameters() if p.ndim == 1)
    assert matrices == 18 * channels**2 and rest == 20 * channels


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="channels 24 is not a multiple of head_dim 5"):
        AnchorBlock(24, 5)
