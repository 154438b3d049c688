"""Skipping what is copied: crops hold what moves, each sample has its own, and outside the reference is copied."""

import pytest
import torch

from artv.accelerations import SkipCopied
from artv.accelerations.skip import crops_around, moving
from artv.composition import compose
from artv.denoiser import Denoiser
from artv.errors import UserError
from artv.guidance import ThreeTerm
from artv.mask_rules import Constant, Hard
from artv.networks import ArtVModel, Crops, InferenceModel, Prediction
from tests.artv.networks.fast.test_model import MODELS, inputs, randomised

SIGMA = torch.tensor(1.5, dtype=torch.float64)


@pytest.fixture(params=["plain", "fast", "graphs"])
def sampled(request, recorded):
    """Makes what is sampled from out of a model."""
    return {"plain": lambda model: model, "fast": InferenceModel, "graphs": recorded}[request.param]


def shapes(mask_logit=None, **options):
    """Random weights; with ``mask_logit`` the same mask everywhere."""
    torch.manual_seed(0)
    model = randomised(ArtVModel.from_config(preset="shapes", **options))
    if mask_logit is not None:
        torch.nn.init.zeros_(model.mask_network.unet.conv_out.weight)
        torch.nn.init.constant_(model.mask_network.unet.conv_out.bias, mask_logit)
    return model


def denoiser_of(model, guidance=None, keep_ref=1.0, **options):
    x, text, conditions = inputs(model, keep_ref=keep_ref)
    null = torch.randn(1, 9, 96)
    encoded = model.encode(conditions)
    return x, Denoiser(model, encoded, text, null, guidance=guidance or ThreeTerm(ref=0.0), **options)


@pytest.mark.parametrize(("height", "width", "cell"), [(16, 16, 4), (40, 40, 8), (96, 56, 8), (8, 24, 8)])
def test_crops_hold_what_moves(height, width, cell):
    torch.manual_seed(0)
    here = torch.rand(40, height, width) < 0.02
    for row in here:
        row[:, : int(torch.randint(width, (1,)))] = False
        row[int(torch.randint(1, height, (1,))) :] = False
    for margin, largest in ((0, 1.0), (2, 0.5)):
        made = crops_around(here, margin=margin, cell=cell, largest=largest)
        rows = sorted(row for crops in made for row in crops.rows)
        assert rows == here.flatten(1).any(1).nonzero().flatten().tolist()
        assert len(made) <= 7 and len({crops.size for crops in made}) == len(made)
        for crops in made:
            share = crops.size[0] * crops.size[1] / (height * width)
            assert share <= largest or crops.size == (height, width)
            assert not any(side % cell for corner in crops.corners for side in (*corner, *crops.size))
            for row, (top, left) in zip(crops.rows, crops.corners, strict=True):
                y, x = here[row].nonzero().unbind(1)
                for found, start, length, side in (
                    (y, top, crops.size[0], height),
                    (x, left, crops.size[1], width),
                ):
                    assert start >= 0 and start + length <= side
                    assert start <= max(int(found.min()) - margin, 0)
                    assert start + length >= min(int(found.max()) + margin + 1, side)


def test_branches_share_a_crop_and_those_without_references_have_none():
    below = torch.zeros(3 * 2, 1, 4, 4, dtype=torch.bool)
    below[0, 0, 1, 1] = below[4, 0, 2, 3] = below[2] = True  # two branches of sample 0, the third one dropped
    keep_ref = torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    found = moving(below, keep_ref, 2)
    assert found[0].nonzero().tolist() == [[1, 1], [2, 3]] and torch.equal(found[4], found[0])
    assert not found[1].any() and not found[3].any()
    assert found[2].all() and found[5].all()


def test_crop_and_paste():
    x = torch.arange(3 * 2 * 8 * 8.0).view(3, 2, 8, 8)
    crops = Crops((0, 2), ((4, 0), (0, 4)), (4, 4))
    assert torch.equal(crops.crop(x), torch.stack([x[0, :, 4:, :4], x[2, :, :4, 4:]]))
    assert torch.equal(crops.crop(x[..., ::2, ::2], 2)[1], x[2, :, :4:2, 4::2])
    assert crops.take(torch.tensor([5, 6, 7])).tolist() == [5, 7] and crops.positions == 32
    pasted = torch.zeros_like(x)
    crops.paste(pasted, crops.crop(x))
    assert torch.equal(crops.crop(pasted), crops.crop(x)) and int((pasted != 0).sum()) <= 64
    whole = Crops.whole(3, (8, 8))
    assert whole.crop(x) is x and whole.take(x) is x


@pytest.mark.parametrize("keep", [(1.0, 1.0), (0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("name", ["shapes", "no-anchor", "deep"])
@torch.no_grad()
def test_paths_agree_within_crops(name, keep, recorded):
    torch.manual_seed(0)
    model = randomised(MODELS[name]())
    z, text, conditions = inputs(model, *keep)
    encoded = model.encode(conditions)
    whole = model.predict_at(z, 300, text, encoded, use_mask=False).eps_BCHW
    for fast in (InferenceModel(model), recorded(model)):
        for t in (300, 700):
            expected, actual = (m.mask_at(z, t, text, encoded) for m in (model, fast))
            torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
        for t, crops in (
            (300, Crops((0, 1), ((0, 8), (8, 0)), (8, 8))),
            (300, Crops((1,), ((8, 8),), (8, 8))),
            (700, Crops((1,), ((0, 8),), (8, 8))),  # the graph of the one before, were rows alike
            (300, Crops((0,), ((4, 4),), (8, 8))),
            (300, Crops((1,), ((0, 0),), (16, 16))),
            (300, Crops.whole(2, (16, 16))),
        ):
            expected, actual = (m.dynamic_at(z, t, text, encoded, crops) for m in (model, fast))
            torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)
            if crops.size == (16, 16):
                torch.testing.assert_close(actual, whole[list(crops.rows)], atol=1e-4, rtol=1e-4)


class Pointwise:
    """Stands for a model whose dynamic noise depends on the position alone, so that crops are exact."""

    def __init__(self, model, mask_B1HW):
        self.sizes, self.schedule, self.mask_B1HW, self.seen = model.sizes, model.schedule, mask_B1HW, []

    def mask_at(self, z, t, text, encoded):
        return self.mask_B1HW.repeat(len(z) // len(self.mask_B1HW), 1, 1, 1) * encoded.keep_ref_B.view(-1, 1, 1, 1)

    def dynamic_at(self, z, t, text, encoded, crops):
        self.seen.append(crops)
        return crops.crop(z).sin() + crops.take(text).mean((1, 2)).view(-1, 1, 1, 1)


@pytest.mark.parametrize("guidance", [ThreeTerm(ref=0.0), ThreeTerm()])
@torch.no_grad()
def test_exact_inside_and_copied_outside(guidance):
    model = shapes()
    mask = torch.full((2, 1, 16, 16), 0.97)
    mask[0, :, 5:10, 9:13] = 0.3  # sample 1 moves nowhere
    x, text, conditions = inputs(model)
    stand_in = Pointwise(model, mask)
    denoiser = Denoiser(stand_in, model.encode(conditions), text, torch.randn(1, 9, 96), guidance=guidance)

    def exact(z, t, text, encoded):
        dynamic, mask = z.sin() + text.mean((1, 2)).view(-1, 1, 1, 1), stand_in.mask_at(z, t, text, encoded)
        kept = encoded.keep_ref_B.view(-1, 1, 1, 1) > 0
        inside = torch.zeros_like(mask, dtype=torch.bool)
        inside[::2, :, 4:12, 8:16] = True  # rows branch by branch, two samples each
        copied = denoiser.copied(z, t, encoded)
        return Prediction(compose(torch.where(inside | ~kept, mask, 1.0), copied, dynamic), mask, dynamic)

    actual = SkipCopied(threshold=0.9)(denoiser)(x, SIGMA)
    rows = denoiser.rows
    torch.testing.assert_close(actual, denoiser(x, SIGMA, exact), atol=1e-5, rtol=1e-5)
    branches = 4 if guidance.ref else 3
    kept = (branches - 1) if guidance.ref else branches
    assert rows == kept / 4 + 2 * (branches - kept), "a quarter of sample 0's rows, and all of those without references"
    assert len(stand_in.seen) == 1 + (kept < branches), "one call a size"


@torch.no_grad()
def test_nothing_left_to_evaluate(sampled):
    """A mask of one everywhere: the dynamic network is not called, and what comes out is the reference."""
    model = shapes(mask_logit=60.0)
    calls = []
    model.dynamic_network.register_forward_hook(lambda *_: calls.append(1))
    made = sampled(model)
    if made is not model:
        inner = made.networks[0]
        made.networks[0] = type("Counted", (), {
            "__call__": lambda _, *given: calls.append(1) or inner(*given), "text": inner.text, "time": inner.time,
        })()  # fmt: skip
    x, denoiser = denoiser_of(made)
    x0 = SkipCopied()(denoiser)(x, SIGMA)
    assert denoiser.rows == 0 and not calls
    torch.testing.assert_close(x0, denoiser.encoded.copy_BCHW, atol=1e-5, rtol=1e-5)
    denoiser(x, SIGMA)
    assert calls, "calls are counted"


@pytest.mark.parametrize(
    ("chosen", "logit", "options"),
    [
        (SkipCopied(threshold=1.01), None, {}),  # everything is below
        (SkipCopied(), -60.0, {}),  # everything moves
        (SkipCopied(), 60.0, {"mask": Constant(level=0.0)}),  # the mask that is used counts
        (SkipCopied(threshold=0.9), 60.0, {"mask": Hard(threshold=0.5)}),
        (SkipCopied(threshold=0.01), None, {"use_mask": False}),
        (SkipCopied(threshold=0.01), 60.0, {"keep_ref": 0.0}),  # sample 0 has nothing to copy
    ],
)
@torch.no_grad()
def test_exact_where_nothing_is_lost(sampled, chosen, logit, options):
    x, denoiser = denoiser_of(sampled(shapes(logit)), ThreeTerm(), **options)
    torch.testing.assert_close(chosen(denoiser)(x, SIGMA), denoiser(x, SIGMA), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_without_a_mask_network_nothing_is_left_out():
    for sampled in (shapes(mask=False), InferenceModel(shapes(mask=False))):
        x, denoiser = denoiser_of(sampled)
        assert torch.equal(SkipCopied(threshold=0.01)(denoiser)(x, SIGMA), denoiser(x, SIGMA))


@pytest.mark.parametrize("settings", [{"threshold": 0}, {"threshold": "0.5"}, {"margin": -1}, {"largest": 1.5}])
def test_settings_that_cannot_be(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        SkipCopied(**settings)
