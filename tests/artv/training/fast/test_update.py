"""One pass over weights, moments and averages does what PyTorch's AdamW and the average do one after the other."""

import copy
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

import artv.training.step as step_module
from artv.training.checkpoint import load_state, save_state
from artv.training.ema import Ema
from artv.training.fast.update import FusedUpdate
from tests.artv.training.test_step import Stream, config, network
from tests.warm import interpreted

pytest.importorskip("triton")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_update() -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(70, 70)).to(DEVICE, memory_format=torch.channels_last)
    theirs = copy.deepcopy(ours)
    both = []
    for model in (ours, theirs):
        lr = torch.tensor(1e-2, device=DEVICE)
        both.append((model, torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.1, fused=True), Ema(model)))

    def step(model, seed):
        chance = torch.Generator().manual_seed(seed)
        for p in model.parameters():  # as bfloat16 holds them
            p.grad = torch.empty_like(p).copy_(torch.randn(p.shape, generator=chance).bfloat16())

    for model, optimizer, ema in both:
        step(model, 0)
        optimizer.step()
        ema.update(0.5)
    (_, ours_by, our_average), (_, theirs_by, their_average) = both
    halves = {p: nn.Parameter(p.detach().bfloat16()) for p in ours.parameters() if p.ndim > 1}
    fused = FusedUpdate(ours_by, our_average.averages(), halves)
    for number in range(1, 4):
        step(ours, number)
        step(theirs, number)
        for p, half in halves.items():
            half.grad, p.grad = torch.empty_like(half).copy_(p.grad), None
        fused.weight.fill_(0.3)
        fused.point()
        fused()
        theirs_by.step()
        their_average.update(0.3)
        # on a GPU PyTorch corrects second moments in float32: early on that is exact to 1e-5 of a step, which is 1e-2
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        for a, b in zip(our_average.model.parameters(), their_average.model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        for p, half in halves.items():
            torch.testing.assert_close(half.float(), p, rtol=2**-7, atol=0)
        states = (x.state_dict()["state"] for x in (ours_by, theirs_by))
        for a, b in zip(*(x.values() for x in states), strict=True):
            for name in b:
                torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-7)
    halves.popitem()[1].grad = None
    with pytest.raises(RuntimeError, match="has no gradient"):
        fused.point()


class Pointed(FusedUpdate):
    """Without a graph gradients are elsewhere in every step."""

    def __call__(self) -> None:
        self.point()
        super().__call__()


def started(fused: bool) -> step_module.Step:
    """A step that is captured after its second; on a CPU the function itself stands in for the graph."""
    if DEVICE.type == "cpu":
        step_module.capture, step_module.FusedUpdate = lambda one_step, optimizer: one_step, Pointed
    model = network().to(DEVICE)
    stream = Stream(model, 4)
    stream.x, stream.y = stream.x.to(DEVICE), stream.y.to(DEVICE)
    batch = stream.x[:4].clone(), stream.y[:4].clone()

    def fetch(step: int, place: int) -> None:
        stream.fetch(step, place)
        for held, values in zip(batch, (stream.x, stream.y), strict=True):
            held.copy_(values[stream.rows])

    def loss() -> torch.Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    one_step = step_module.Step(model, loss, config(fused_update=fused), DEVICE, fetch=fetch)
    one_step._captures, one_step._eagerly = True, 2
    for group in one_step.optimizer.param_groups:
        group["lr"] = torch.as_tensor(group["lr"], device=DEVICE)  # as on a GPU
    return one_step


def trained(before: bool, after: bool, stop: int, steps: int) -> list[torch.Tensor]:
    """Weights, averages and moments of a run that stopped once, by whether its two parts are updated in one pass."""
    first, then = started(before), started(after)
    for step in range(stop):
        first(step)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        save_state(state, first.model, first.ema, first.optimizer, stop)
        assert load_state(state, then.model, then.ema, then.optimizer) == stop
    for step in range(stop, steps):
        then(step)
    assert (first._fused is not None, then._fused is not None) == (before, after)
    moments = [x for state in then.optimizer.state.values() for x in state.values()]
    return [*then.model.parameters(), *then.ema.model.parameters(), *moments]


def check_resumed() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream())  # the default one cannot be captured
    expected = trained(False, False, 4, 8)
    for before, after in ((True, True), (True, False), (False, True)):
        for ours, theirs in zip(trained(before, after, 4, 8), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_it_is_adamw_and_the_average_also_after_a_stop_and_a_change_of_mind():
    interpreted("from tests.artv.training.fast.test_update import *\ncheck_update(); check_resumed()")
