"""A step against PyTorch's own AdamW, clipping and schedules, and one large batch against its parts."""

import copy

import pytest
import torch
from torch import nn

from artv.errors import UserError
from artv.training.config import LoopConfig
from artv.training.step import Step

CPU = torch.device("cpu")


def config(**settings):
    return LoopConfig(**{"steps": 10, "batch_size": 4, "lr": 0.05, "warmup": 0, "grad_clip": None, **settings})


def data(count=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, generator=generator), torch.randn(count, 2, generator=generator)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


class Stream:
    """Hands out rows of the data, batch by batch, by the numbers of the step and of the micro-batch."""

    def __init__(self, model, size, places=1):
        self.model, self.size, self.places, self.asked = model, size, places, []
        self.x, self.y = data()

    def fetch(self, step, place):
        self.asked.append((step, place))
        start = (step * self.places + place) * self.size % len(self.x)
        self.rows = slice(start, start + self.size)

    def loss(self):
        return (self.model(self.x[self.rows]) - self.y[self.rows]).square().mean()


def trained(settings, steps, size=4, places=1):
    model = network()
    stream = Stream(model, size, places)
    one_step = Step(model, stream.loss, settings, CPU, fetch=stream.fetch)
    losses = [one_step(step) for step in range(steps)]
    return model, one_step, stream, losses


@pytest.mark.parametrize(
    "settings",
    [{}, {"weight_decay": 0.0}, {"weight_decay": 0.3}, {"grad_clip": 0.1}, {"grad_clip": 1e6}, {"lr": 0.0}],
    ids=str,
)
def test_weights_are_those_of_torchs_adamw(settings):
    chosen = config(**settings)
    ours, _, _, losses = trained(chosen, 8)
    theirs = network()
    stream = Stream(theirs, 4)
    optimizer = torch.optim.AdamW(
        theirs.parameters(), lr=chosen.lr, betas=(0.9, 0.999), weight_decay=chosen.weight_decay
    )
    for step in range(8):
        stream.fetch(step, 0)
        optimizer.zero_grad()
        loss = stream.loss()
        loss.backward()
        if chosen.grad_clip is not None:
            nn.utils.clip_grad_norm_(theirs.parameters(), chosen.grad_clip)
        optimizer.step()
        assert losses[step].item() == pytest.approx(loss.item(), rel=1e-5)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_is_of_the_weights_after_each_step(decay):
    model = network()
    stream = Stream(model, 4)
    one_step = Step(model, stream.loss, config(ema_decay=decay), CPU, fetch=stream.fetch)
    expected = model[0].weight.detach().clone()
    for step in range(5):
        one_step(step)
        share = 1 - min(decay, (1 + step) / (10 + step))
        expected = expected + share * (model[0].weight.detach() - expected)
    torch.testing.assert_close(one_step.ema.model[0].weight, expected)


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("grad_clip", [None, 0.1])
def test_a_batch_gathered_from_parts_is_the_whole_batch(parts, grad_clip):
    """The gradient, its norm, where it is clipped, and the loss that is told."""
    whole = trained(config(batch_size=8, grad_clip=grad_clip), 5, size=8)
    few = config(batch_size=8 // parts, global_batch=8, grad_clip=grad_clip)
    gathered = trained(few, 5, size=8 // parts, places=parts)
    torch.testing.assert_close(gathered[3], whole[3])
    for a, b in zip(gathered[0].parameters(), whole[0].parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert gathered[2].asked == [(step, place) for step in range(5) for place in range(parts)]


def test_chance_in_a_micro_batch_hangs_on_its_step_and_place_alone():
    def drawn(global_batch, seed=0, start=0):
        seen, model = [], nn.Linear(1, 1)

        def loss():
            seen.append(torch.rand(()).item())
            return model(torch.ones(1, 1)).sum()

        one_step = Step(model, loss, config(batch_size=1, global_batch=global_batch, seed=seed), CPU)
        torch.manual_seed(start)  # of no consequence
        for step in range(start, 4):
            one_step(step)
        return seen

    whole = drawn(3)
    assert len(set(whole)) == 12 and drawn(3) == whole
    assert drawn(3, start=2) == whole[6:], "a run that goes on"
    assert drawn(2) == [whole[3 * step + k] for step in range(4) for k in range(2)]
    assert not set(drawn(3, seed=1)) & set(whole)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("warmup", [0, 1, 4])
def test_rates_are_torchs_schedules(schedule, warmup):
    chosen = config(steps=12, schedule=schedule, warmup=warmup)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=chosen.lr)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
    expected = []
    for step in range(12):
        rise = min(1, (step + 1) / max(warmup, 1))
        expected.append(rise * (cosine.get_last_lr()[0] if schedule == "cosine" else chosen.lr))
        optimizer.step()
        cosine.step()
    assert [chosen.lr_at(step) for step in range(12)] == pytest.approx(expected)
    model = network()
    stream = Stream(model, 4)
    one_step = Step(model, stream.loss, chosen, CPU, fetch=stream.fetch)
    rates = []
    for step in range(12):
        one_step(step)
        rates.append(one_step.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx(expected)


def test_a_cosine_ends_at_zero_and_never_comes_back():
    chosen = config(steps=10, schedule="cosine")
    assert chosen.lr_at(10) == pytest.approx(0, abs=1e-12) and chosen.lr_at(25) == pytest.approx(0, abs=1e-12)


def test_what_needs_no_gradient_is_neither_trained_nor_kept_by_the_optimiser():
    model = network()
    model[0].requires_grad_(False)
    before = copy.deepcopy(model[0].state_dict())
    stream = Stream(model, 4)
    one_step = Step(model, stream.loss, config(), CPU, fetch=stream.fetch)
    loss = one_step(0)
    assert not loss.requires_grad and len(one_step.parameters) == 2
    assert all(torch.equal(value, before[key]) for key, value in model[0].state_dict().items())


def test_autocast_computes_in_bfloat16_and_trains_float32():
    seen, model = [], network()
    stream = Stream(model, 4)

    def loss():
        y = model(stream.x[stream.rows])
        seen.append(y.dtype)
        return (y.float() - stream.y[stream.rows]).square().mean()

    one_step = Step(model, loss, config(precision="bf16"), CPU, fetch=stream.fetch)
    for step in range(3):
        one_step(step)
    exact = trained(config(), 3)[0]
    assert seen == [torch.bfloat16] * 3 and {p.dtype for p in model.parameters()} == {torch.float32}
    for a, b in zip(model.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=0.02, rtol=0.05)


def test_a_global_batch_that_is_no_multiple_is_refused_before_any_step():
    model = network()
    with pytest.raises(UserError, match="global batch is 10; it must be a multiple of 4"):
        Step(model, lambda: None, config(global_batch=10), CPU)


def test_an_update_that_cannot_be_one_pass_is_made_apart_behind_the_graph_and_told(monkeypatch, capsys):
    """With what records standing in for a CUDA graph: the function itself."""
    monkeypatch.setattr("artv.training.step.capture", lambda one_step, optimizer: one_step)
    monkeypatch.setattr("artv.training.step.ENABLED", True)

    def odd(self):
        raise RuntimeError("a weight begins at an odd place\nmore")

    monkeypatch.setattr(Step, "_fused_update", odd)
    model, stream = network(), Stream(None, 4)
    stream.model = model
    one_step = Step(model, stream.loss, config(fused_update=True), CPU, fetch=stream.fetch)
    one_step._captures, one_step._eagerly = True, 2
    losses = [one_step(step) for step in range(4)]
    assert one_step._graph is not None and one_step._fused is None
    expected, plain, *_, theirs = trained(config(), 4)
    assert torch.equal(torch.stack(losses), torch.stack(theirs))
    for ours, others in ((model, expected), (one_step.ema.model, plain.ema.model)):
        for a, b in zip(ours.parameters(), others.parameters(), strict=True):
            assert torch.equal(a, b)
    told = "artv: the update cannot be one pass (a weight begins at an odd place); training goes on without, slower\n"
    assert capsys.readouterr().err == told
