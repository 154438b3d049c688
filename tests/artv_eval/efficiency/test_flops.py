"""The counter against counts by hand, and against the numbers of the paper."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from artv_eval.efficiency.cases import artv, find_cases, modelscope
from artv_eval.efficiency.flops import Macs, count_macs
from artv_eval.efficiency.rows import forward_macs

BY_HAND = [
    (nn.Linear(6, 5), (2, 3, 6), 2 * 3 * 6 * 5),
    (nn.Conv1d(4, 8, 3), (1, 4, 10), 8 * 8 * 4 * 3),
    (nn.Conv2d(4, 8, 3, padding=1), (2, 4, 5, 7), 2 * 8 * 5 * 7 * 4 * 9),
    (nn.Conv2d(4, 8, 3, stride=2, padding=1), (1, 4, 6, 6), 8 * 3 * 3 * 4 * 9),
    (nn.Conv2d(4, 8, 3, padding=1, groups=2), (1, 4, 5, 5), 8 * 25 * 2 * 9),
    (nn.Conv3d(4, 8, (3, 1, 1), padding=(1, 0, 0)), (1, 4, 6, 2, 2), 8 * 6 * 4 * 4 * 3),
    (nn.ConvTranspose2d(4, 8, 2, stride=2), (1, 4, 5, 5), 25 * 4 * 8 * 4),
]


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("module,shape,expected", BY_HAND, ids=lambda value: type(value).__name__)
def test_single_layers(module, shape, expected, device):
    module = module.to_empty(device=device)
    assert count_macs(module, None, torch.zeros(shape, device=device)) == Macs(linear_conv=expected, full=expected)


class Attention(nn.Module):
    """B 2, heads 3, 5 queries, 7 keys, head width 4."""

    def __init__(self):
        super().__init__()
        self.to_q = nn.Linear(12, 12)

    def forward(self, x, k, v):
        q = self.to_q(x).unflatten(-1, (3, 4)).transpose(1, 2)
        return F.scaled_dot_product_attention(q, k, v)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_attention_is_counted_in_full_only(device):
    inputs = [torch.zeros(shape, device=device) for shape in ((2, 5, 12), (2, 3, 7, 4), (2, 3, 7, 4))]
    counted = count_macs(Attention().to(device), None, *inputs)
    projection, products = 2 * 5 * 12 * 12, 2 * (2 * 3 * 5 * 7 * 4)
    assert counted == Macs(linear_conv=projection, full=projection + products)


def test_multi_head_attention_by_hand():
    """open_clip's text tower multiplies without Linear modules; only the full count sees all of it."""
    module = nn.MultiheadAttention(8, 2, batch_first=True, device="meta").eval()
    x = torch.zeros(1, 6, 8, device="meta")
    counted = count_macs(module, lambda: module(x, x, x, need_weights=False))
    assert counted.full == 4 * 6 * 8 * 8 + 2 * 6 * 6 * 8


def test_parts_called_by_hand_are_counted():
    module = nn.Sequential(nn.Linear(4, 4, device="meta"), nn.Linear(4, 4, device="meta"))
    x = torch.zeros(3, 4, device="meta")
    assert count_macs(module, lambda: module[1](x)).linear_conv == 48
    assert not module[0]._forward_hooks and not module[1]._forward_hooks


TABLE_2 = {"artv": (artv, 0.003), "modelscope": (modelscope, 0.001)}


@pytest.mark.parametrize("name", TABLE_2)
def test_table_2(name):
    make, tolerance = TABLE_2[name]
    case = make()
    with torch.device("meta"):
        skeleton = case.build()
    for resolution, published in case.published.items():
        counted = forward_macs(case, skeleton, resolution, 16)
        assert abs(counted.linear_conv / 1e9 / published.flops_g - 1) < tolerance
        assert counted.full > counted.linear_conv


def test_cases_state_how_a_clip_is_made():
    ours, theirs = find_cases(["artv", "modelscope"])
    assert (ours.evaluations, ours.branches, ours.sampler_runs(16), ours.frames_per_forward) == (99, 4, 15, 1)
    assert (theirs.evaluations, theirs.branches, theirs.sampler_runs(16), theirs.frames_per_forward) == (50, 2, 1, None)


def test_forward_of_artv_is_the_models_own():
    """What is counted and timed computes what the model computes."""
    from artv.networks import ArtVModel, Conditions
    from artv_eval.efficiency.cases import ArtVForward, artv_inputs

    torch.manual_seed(0)
    model = ArtVModel.from_config(preset="shapes").eval()
    for network in (model.dynamic_network, model.mask_network):
        for block in network.anchor_blocks:
            nn.init.normal_(block.proj_out.weight, std=0.2)
    forward = ArtVForward(model)
    z, t, text, refs, _, a, s = artv_inputs(forward, 128, 2, 1)
    anchor, ones = torch.randn(2, 4, 16, 16), torch.ones(2)
    with torch.no_grad():
        maps = [n.adapter(anchor.repeat(1, 2, 1, 1)) for n in (model.dynamic_network, model.mask_network)]
        expected = model(z, t, Conditions(refs, refs[:, -1], anchor, ones, ones, text)).eps_BCHW
        torch.testing.assert_close(forward(z, t, text, refs, maps, a, s), expected)
