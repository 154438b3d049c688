"""The optimiser's state as tensors by name: what is read back goes on as if nothing had been."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from artv.errors import UserError
from artv.training.config import LoopConfig
from artv.training.optimizer import flat_state, make_optimizer, nested_state
from artv.training.step import Step

CPU = torch.device("cpu")
CONFIG = LoopConfig(steps=5, batch_size=1, lr=0.1, weight_decay=0.2)


def step(model, optimizer, seed):
    optimizer.zero_grad()
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
    model(x).square().sum().backward()
    optimizer.step()


def test_it_is_the_papers_adamw():
    """Table 4: AdamW with 0.9 and 0.999."""
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], CONFIG, CPU)
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.AdamW) and group["betas"] == (0.9, 0.999)
    assert group["lr"] == 0.1 and group["weight_decay"] == 0.2


def test_training_goes_on_from_what_was_read_back():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = make_optimizer(list(model.parameters()), CONFIG, CPU)
    for seed in range(3):
        step(model, optimizer, seed)
    flat = {name: value.clone() for name, value in flat_state(optimizer).items()}
    assert sorted(flat) == [f"{i}.{key}" for i in (0, 1) for key in ("exp_avg", "exp_avg_sq", "step")]
    other = copy.deepcopy(model)
    again = make_optimizer(list(other.parameters()), CONFIG, CPU)
    again.load_state_dict({"state": nested_state(flat), "param_groups": optimizer.state_dict()["param_groups"]})
    for seed in range(3, 6):
        step(model, optimizer, seed)
        step(other, again, seed)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_before_the_first_step_there_is_nothing():
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], CONFIG, CPU)
    assert flat_state(optimizer) == {} and nested_state({}) == {}


class Deep:
    """States as bitsandbytes has them: numbers, and mappings within mappings."""

    def __init__(self, state):
        self.state = state

    def state_dict(self):
        return {"state": self.state}


def test_mappings_and_numbers_come_back_as_they_were():
    state = {
        0: {"step": 7, "state1": torch.ones(2, dtype=torch.uint8), "quant": {"scale": torch.ones(1), "block": 256}},
        12: {"step": 8, "a": {"b": {"c": torch.zeros(3)}}},
    }
    flat = flat_state(Deep(state))
    assert set(flat) == {"0.step", "0.state1", "0.quant.scale", "0.quant.block", "12.step", "12.a.b.c"}
    assert all(isinstance(value, torch.Tensor) for value in flat.values())
    back = nested_state(flat)
    assert back[0]["step"] == 7 and type(back[0]["step"]) is int and back[0]["quant"]["block"] == 256
    assert torch.equal(back[12]["a"]["b"]["c"], torch.zeros(3)) and back[0]["state1"].dtype == torch.uint8


def test_eight_bits_are_for_gpus():
    eight = LoopConfig(steps=5, batch_size=1, lr=0.1, optimizer="adamw8bit")
    with pytest.raises(UserError, match="optimizer adamw8bit is for GPUs; use adamw"):
        make_optimizer([nn.Parameter(torch.zeros(1))], eight, CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_eight_bits_wait_for_gradients_of_whatever_stream():
    """bitsandbytes runs its kernels on the default stream; training has one of its own."""
    pytest.importorskip("bitsandbytes")
    device = torch.device("cuda")

    def trained(stream):
        torch.manual_seed(0)
        model = nn.Sequential(*(nn.Linear(2048, 2048, device=device) for _ in range(8)))
        optimizer = make_optimizer(list(model.parameters()), replace(CONFIG, lr=1e-4, optimizer="adamw8bit"), device)
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            for seed in range(10):
                x = torch.randn(512, 2048, generator=torch.Generator().manual_seed(seed)).to(device)
                optimizer.zero_grad()
                model(x).square().mean().backward()
                optimizer.step()
        torch.cuda.synchronize()
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    torch.testing.assert_close(trained(torch.cuda.Stream()), trained(torch.cuda.default_stream()), rtol=0, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("grad_clip", [None, 0.1])
def test_eight_bits_train_alike_behind_a_graph_of_the_gradients(grad_clip):
    pytest.importorskip("bitsandbytes")
    device = torch.device("cuda")

    def trained(graph):
        torch.manual_seed(0)
        model = nn.Sequential(*(nn.Linear(512, 512, device=device) for _ in range(4)))
        x = torch.randn(64, 512, device=device)
        config = replace(CONFIG, lr=1e-3, warmup=0, grad_clip=grad_clip, optimizer="adamw8bit", graph=graph)
        torch.cuda.synchronize()
        with torch.cuda.stream(torch.cuda.Stream()):
            step = Step(model, lambda: (model(x) - x).square().mean(), config, device)
            losses = [step(number).clone() for number in range(20)]
            captured = step._graph is not None
        torch.cuda.synchronize()
        assert captured == graph
        return torch.stack(losses), torch.cat([p.detach().flatten() for p in model.parameters()])

    losses, weights = trained(graph=True)
    assert losses[-1] < 0.9 * losses[0]
    for got, wanted in zip((losses, weights), trained(graph=False), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)
