"""One pass over weights, moments and averages does what PyTorch's AdamW and the average do one after the other."""

import pytest

from tests.warm import interpreted

pytest.importorskip("triton")

CODE = """
import copy
import torch
from torch import nn
from artv.training.ema import Ema
from artv.training.fast.update import FusedUpdate

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
ours = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(70, 70)).to(device, memory_format=torch.channels_last)
theirs = copy.deepcopy(ours)
both = []
for model in (ours, theirs):
    lr = torch.tensor(1e-2, device=device)
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
    close = dict(rtol=1e-5, atol=1e-7)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, **close)
    for a, b in zip(our_average.model.parameters(), their_average.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, **close)
    for p, half in halves.items():
        torch.testing.assert_close(half.float(), p, rtol=2**-7, atol=0)
    states = (x.state_dict()["state"] for x in (ours_by, theirs_by))
    for a, b in zip(*(x.values() for x in states), strict=True):
        for name in b:
            torch.testing.assert_close(a[name], b[name], **close)
halves.popitem()[1].grad = None
try:
    fused.point()
    raise AssertionError
except RuntimeError as error:
    assert "has no gradient" in str(error)
"""


def test_it_is_adamw_and_the_average():
    interpreted(CODE)
