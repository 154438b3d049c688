"""Blocks that are computed again: the same gradients to the bit, with less held in between."""

import copy

import pytest
import torch
from torch import nn

from artv.config import ModelConfig, NetworkConfig
from artv.networks import ArtVModel, Conditions
from artv.training.recompute import recompute_blocks

COMMON = {"channels": (8, 8), "heads": (1, 1), "attention": (True, False), "layers": 1, "text_dim": 6}
COMMON |= {"norm_groups": 2, "sample_size": 8}
SIZES = ModelConfig(dynamic=NetworkConfig(out_channels=4, **COMMON), mask=NetworkConfig(out_channels=1, **COMMON))


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(0)
    plain = ArtVModel.from_config(SIZES)
    for network in (plain.dynamic_network, plain.mask_network):
        for block in network.anchor_blocks:
            nn.init.normal_(block.proj_out.weight, std=0.2)
    again = copy.deepcopy(plain)
    recompute_blocks(again)
    return plain, again


def loss(model):
    g = torch.Generator().manual_seed(1)
    refs, copied, anchor, z = (torch.randn(2, *shape, generator=g) for shape in ((2, 4, 8, 8), *[(4, 8, 8)] * 3))
    keep, text = torch.tensor([1.0, 0.0]), torch.randn(2, 3, 6, generator=g)
    conditions = Conditions(refs, copied, anchor, keep, keep, text)
    return model(z, torch.tensor([10, 900]), conditions).eps_BCHW.square().mean()


def held(model):
    """Bytes that autograd keeps for the backward pass, each tensor's memory once, beside the weights."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = loss(model)
    value.backward()
    return sum(kept.values()) - sum(kept.get(p.untyped_storage().data_ptr(), 0) for p in model.parameters())


def test_gradients_are_the_same(pair):
    values = []
    for model in pair:
        model.zero_grad()
        value = loss(model)
        value.backward()
        values.append(value)
    assert torch.equal(*values)
    for (name, a), b in zip(pair[0].named_parameters(), pair[1].parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None) and (a.grad is None or torch.equal(a.grad, b.grad)), name


def test_less_is_held(pair):
    plain, again = map(held, pair)
    assert again < 0.6 * plain


def test_every_block_is_among_them_and_only_they(pair):
    kinds = {type(module).__name__ for module in pair[1].modules() if "forward" in vars(module)}
    assert kinds == {"ResnetBlock2D", "Transformer2DModel", "AnchorBlock"}


def test_blocks_of_a_kind_made_of_another_count_too():
    class AnchorBlock(nn.Linear):
        pass

    class Mine(AnchorBlock):
        pass

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 2), Mine(2, 2))
    expected = module(torch.ones(1, 2))
    recompute_blocks(module)
    assert "forward" in vars(module[1]) and "forward" not in vars(module[0])
    assert torch.equal(module(torch.ones(1, 2)), expected)
