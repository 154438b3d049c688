"""Each part of an inference network against the module of diffusers that it stands for, with the same weights."""

import pytest
import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import nn

from artv.networks import anchor_block
from artv.networks.fast.blocks import (
    Ahead,
    AnchorBlock,
    Conv,
    Linear,
    Pointwise,
    Resize,
    Resnet,
    TextBlock,
    bias_of,
    flat,
    repeated,
)

C, L, D = 16, 5, 12


def randomised(module):
    """Norms start as ones and zeros, last projections as zeros: they would hide what goes wrong."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.double().requires_grad_(False)


def maps(B=2, channels=C, H=4, W=6):
    x = torch.randn(B, channels, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 1)])
def test_a_convolution_with_its_own_bias_or_another(kernel, stride, padding):
    layer = randomised(nn.Conv2d(C, 8, kernel, stride, padding))
    conv, x = Conv(layer), maps()
    torch.testing.assert_close(conv(x), layer(x))
    torch.testing.assert_close(conv.without_bias(x) + layer.bias[:, None, None], layer(x))
    other = torch.arange(8.0, dtype=torch.float64)
    torch.testing.assert_close(conv(x, other) - other[:, None, None], conv.without_bias(x))


@pytest.mark.parametrize(("make", "doubles"), [(Downsample2D, False), (Upsample2D, True)])
@pytest.mark.parametrize(("height", "width"), [(4, 6), (3, 5)])
def test_halving_and_doubling_are_diffusers(make, doubles, height, width):
    module = randomised(make(C, use_conv=True))
    x = maps(H=height, W=width)
    torch.testing.assert_close(Resize(module.conv, doubles=doubles)(x), module(x))


def test_layers_of_one_input_are_one_product():
    layers = [randomised(nn.Linear(6, n)) for n in (2, 5, 3)]
    x = torch.randn(4, 6, dtype=torch.float64)
    joint = Linear(*layers)
    for found, layer in zip(joint(x).split([2, 5, 3], -1), layers, strict=True):
        torch.testing.assert_close(found, layer(x))
    torch.testing.assert_close(joint(x, bare=True) + torch.cat([layer.bias for layer in layers]), joint(x))
    torch.testing.assert_close(bias_of(layers[0], layers[0]), (2 * layers[0].bias).float().double())


def test_a_layer_without_a_bias_is_bare_anyway():
    layer = randomised(nn.Linear(6, 4, bias=False))
    x = torch.randn(3, 6, dtype=torch.float64)
    torch.testing.assert_close(Linear(layer)(x), layer(x))
    torch.testing.assert_close(Linear(layer)(x, bare=True), layer(x))


@pytest.mark.parametrize("joined", [0, 6])
def test_a_pointwise_convolution_of_two_maps_is_that_of_the_joined_map(joined):
    layer = randomised(nn.Conv2d(C, 8, 1))
    x = maps()
    own, skip = (part.contiguous(memory_format=torch.channels_last) for part in x.split([C - joined, joined], 1))
    found = Pointwise(layer)(own, skip if joined else None)
    torch.testing.assert_close(found + layer.bias[:, None, None], layer(x))


def test_rows_and_tokens_of_a_map():
    x = maps()
    assert torch.equal(repeated(x, 3), torch.cat([x, x, x])) and repeated(x, 1) is x
    assert torch.equal(flat(x)[7], x[0, :, 1, 1]) and flat(x).data_ptr() == x.data_ptr()


@pytest.mark.parametrize("out", [C, 8])
@pytest.mark.parametrize("joined", [0, 6])
def test_a_residual_block_is_diffusers(out, joined):
    module = randomised(ResnetBlock2D(in_channels=C, out_channels=out, temb_channels=10, groups=2))
    block, x, time = Resnet(module, None), maps(), torch.randn(10, dtype=torch.float64)
    own, skip = (part.contiguous(memory_format=torch.channels_last) for part in x.split([C - joined, joined], 1))
    found = block(own, block.time_bias(nn.functional.silu(time)), skip if joined else None)
    torch.testing.assert_close(found, module(x, time.expand(2, 10)))


@pytest.fixture(scope="module")
def text_block():
    module = Transformer2DModel(
        num_attention_heads=2, attention_head_dim=C // 2, in_channels=C, norm_num_groups=2, cross_attention_dim=D,
        use_linear_projection=True,
    )  # fmt: skip
    return randomised(module)


@pytest.mark.parametrize("copies", [1, 3])
def test_a_text_block_is_diffusers_transformer(text_block, copies):
    """Rows that the branches share until they have seen the text come out once for each branch."""
    block, x = TextBlock(text_block), maps()
    text = torch.randn(2 * copies, L, D, dtype=torch.float64)
    expected = text_block(x.repeat(copies, 1, 1, 1), encoder_hidden_states=text, return_dict=False)[0]
    found = block(x.clone(), block.keys_values(text), 0, copies)
    torch.testing.assert_close(found, expected)


@pytest.fixture(scope="module")
def anchored():
    return randomised(anchor_block.AnchorBlock(C, head_dim=4, norm_groups=2))


@pytest.mark.parametrize("keep", [[1, 1, 1], [1, 1, 0], [0, 1, 0.5]])
def test_an_anchor_block_is_the_networks(anchored, keep):
    block, x, keep_B = AnchorBlock(anchored), maps(B=3), torch.tensor(keep, dtype=torch.float64)
    keys_values = anchored.keys_values(maps(B=3, H=2, W=3))
    expected = anchored(x, keys_values, keep_B)
    torch.testing.assert_close(block(x.clone(), keys_values, 3, keep_B, 0), expected)
    if keep == [1, 1, 0]:  # in that order it is a number of rows
        first = tuple(part[:2] for part in keys_values)
        torch.testing.assert_close(block(x.clone(), first, 2, None, 0), expected)


def test_biases_that_are_added_ahead_are_those_that_are_taken_off(text_block, anchored):
    """What the two blocks add to a map of zeros through their last layers' biases alone."""
    site, anchor = TextBlock(text_block), AnchorBlock(anchored)
    ahead = Ahead(site, anchor)
    assert torch.equal(site.taken_off, -ahead.added) and ahead.added.shape == (2, C)
    torch.testing.assert_close(ahead.added[0] - ahead.added[1], -anchor.taken_off[0])
    last = text_block.transformer_blocks[0].ff.net[2]
    expected = nn.functional.linear(last.bias, text_block.proj_out.weight, text_block.proj_out.bias)
    torch.testing.assert_close(ahead.added[1], expected, atol=1e-6, rtol=1e-6)  # summed in float32
    alone = Ahead(site, None)
    assert torch.equal(alone.added[0], alone.added[1])
