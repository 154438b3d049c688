"""The training step that is timed: it trains, and checkpointing its blocks changes nothing but memory."""

import copy

import torch

from artv.networks import ArtVModel
from artv.training.recompute import recompute_blocks
from artv_eval.efficiency.cases import ArtVForward, artv_inputs
from artv_eval.efficiency.training import training_step


def tiny():
    torch.manual_seed(0)
    module = ArtVForward(ArtVModel.from_config(preset="shapes"))
    return module.train(), artv_inputs(module, 64, 2, 1)


def gradients(module, inputs):
    module(*inputs).square().mean().backward()
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


def test_checkpointed_blocks_have_the_same_gradients():
    module, inputs = tiny()
    other = copy.deepcopy(module)
    recompute_blocks(other)
    expected, actual = gradients(module, inputs), gradients(other, inputs)
    assert expected.keys() == actual.keys() and len(expected) > 100
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, atol=1e-6, rtol=1e-4)


def test_a_step_changes_every_network():
    module, inputs = tiny()
    before = copy.deepcopy(module.state_dict())
    training_step(module, inputs)()
    changed = {
        name.split(".")[1] for name, value in module.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"dynamic_network", "mask_network"}
