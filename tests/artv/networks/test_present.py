"""Leaving out what is not present: the same predictions and gradients as with everything computed."""

import pytest
import torch

from artv import ArtVModel
from artv.networks import Conditions
from artv.networks.present import Present, Rows

torch.manual_seed(0)
X = torch.randn(6, 4, 3, 5, dtype=torch.float64).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("rows", [Rows(0, 6), Rows(0, 2), Rows(1, 4), Rows(5, 6)])
def test_work_on_some_rows(rows):
    def halved_twice(x):
        return x.sin() * 0.5 + x

    given, plain = X.clone().requires_grad_(), X.clone().requires_grad_()
    found = rows.work(halved_twice, given)
    expected = torch.cat([plain[: rows.start], halved_twice(plain[rows.start : rows.stop]), plain[rows.stop :]])
    assert torch.equal(found, expected) and found.is_contiguous(memory_format=torch.channels_last)
    (found * X.cos()).sum().backward()
    (expected * X.cos()).sum().backward()
    assert torch.equal(given.grad, plain.grad) and given.grad.is_contiguous(memory_format=torch.channels_last)


def test_rows_among_others():
    assert Rows(3, 9).among(Rows(2, 7)) == Rows(1, 5) and Rows(0, 2).among(Rows(0, 9)) == Rows(0, 2)
    assert torch.equal(Rows(1, 3).padded(torch.ones(2, 1), 4).flatten(), torch.tensor([0.0, 1, 1, 0]))
    for start, stop in ((2, 2), (3, 1), (-1, 2)):
        with pytest.raises(ValueError, match="at least one"):
            Rows(start, stop)


@pytest.mark.parametrize("mask,anchor", [(True, True), (False, True), (True, False)])
def test_a_model_computes_the_same_without_what_is_dropped(mask, anchor):
    torch.manual_seed(0)
    model = ArtVModel.from_config(preset="shapes", mask=mask, anchor=anchor).double()
    for p in model.parameters():  # blocks begin as the identity, which would hide them
        if not p.detach().abs().max():
            torch.nn.init.normal_(p, std=0.1)
    B, latent = 5, (4, 8, 8)
    keep_refs, keep_anchor = torch.tensor([[0, 1, 1, 0, 0], [0, 0, 1, 0, 1]], dtype=torch.float64)
    frames = torch.randn(B, 4, *latent, dtype=torch.float64)
    conditions = Conditions(
        frames[:, :2], frames[:, 2], frames[:, 3], keep_refs, keep_anchor, torch.randn(B, 3, 96, dtype=torch.float64)
    )
    z, t = torch.randn(B, *latent, dtype=torch.float64), torch.tensor([3, 400, 999, 12, 800])

    def outcome(*present):
        model.zero_grad()
        prediction = model(z, t, conditions, *present)
        prediction.eps_BCHW.square().sum().backward()
        return prediction, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    (whole, expected), (some, found) = outcome(), outcome(Present(refs=Rows(1, 3), anchor=Rows(2, 5)))
    assert torch.allclose(some.eps_BCHW, whole.eps_BCHW, rtol=0, atol=1e-12)
    assert not mask or torch.allclose(some.mask_B1HW, whole.mask_B1HW, rtol=0, atol=1e-13)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-9 * gradient.norm() + 1e-14, name
