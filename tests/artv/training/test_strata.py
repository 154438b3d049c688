"""Shares of a batch that lack a condition: counted, and against drawing sample by sample."""

import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from artv.conditioning import ConditionDropout
from artv.data.latents import Batch
from artv.networks import ArtVModel, Conditions
from artv.networks.present import Rows
from artv.training.config import load_config, with_loop
from artv.training.estimate import FLOPS_A_SAMPLE, flops_a_sample
from artv.training.strata import Strata, shuffled

CPU = torch.device("cpu")
SHARES = [(0.1, 0.1, 0.1), (0.0, 0.3, 0.4), (0.25, 0.0, 0.5), (0.1, 1.0, 0.2), (0.0, 0.0, 0.0), (0.3, 0.9, 0.95)]


def strata(batch, first, ref, anchor):
    return Strata(batch, first, ConditionDropout(ref=ref, anchor=anchor))


@pytest.mark.parametrize("batch", [1, 7, 32, 120])
@pytest.mark.parametrize("first,ref,anchor", SHARES)
def test_chances_are_those_of_drawing_sample_by_sample(first, ref, anchor, batch):
    torch.manual_seed(0)
    n = 16_000 // batch
    drawn = np.array([torch.stack(strata(batch, first, ref, anchor).draw(CPU)).numpy() for _ in range(n)])  # n, 3, B
    is_first, has_refs, has_anchor = drawn.transpose(1, 0, 2).reshape(3, -1)
    assert not (is_first & (has_refs | has_anchor)).any()
    expected = {
        "first": (is_first, first),
        "refs": (has_refs, (1 - first) * (1 - ref)),
        "anchor": (has_anchor, (1 - first) * (1 - anchor)),
        "both": (has_refs & has_anchor, (1 - first) * (1 - ref) * (1 - anchor)),
    }
    for found, chance in expected.values():
        # counts of a batch differ by one from its share, or two for two stretches: their mean is known that well
        assert abs(found.mean() - chance) <= 5 * 2 / batch / math.sqrt(n)
        counts = found.reshape(n, batch).sum(1)
        assert np.abs(counts - batch * chance).max() < 2


@pytest.mark.parametrize("batch", [1, 2, 8, 32, 33, 120])
@pytest.mark.parametrize("first,ref,anchor", SHARES)
def test_what_is_present_lies_in_the_rows(first, ref, anchor, batch):
    torch.manual_seed(1)
    every = strata(batch, first, ref, anchor)
    refs, there = every.present.refs, every.present.anchor
    for _ in range(50):
        _, has_refs, has_anchor = every.draw(CPU)
        assert not has_refs[: refs.start].any() and not has_refs[refs.stop :].any()
        assert not has_anchor[: there.start].any() and there.stop == batch
    assert len(there.among(refs)) >= 1


def test_what_is_always_dropped_is_dropped_at_the_last_place_too(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *size, device: torch.tensor(1 - 2**-24, device=device))
    _, _, has_anchor = strata(120, 0.1, 0.0, 1.0).draw(CPU)
    assert not has_anchor.any()
    assert strata(120, 1.0, 0.1, 0.1).draw(CPU)[0].all() and strata(120, 0.0, 0.0, 0.0).draw(CPU)[1].all()


def test_the_papers_batches():
    """22.8 of 120 lack references on average and as many an anchor: 22 of each are the same rows always."""
    paper = with_loop(load_config("paper"), "model", batch_size=120)
    present = Strata.of(paper).present
    assert (present.refs, present.anchor) == (Rows(13, 111), Rows(22, 120))


def test_work_that_falls_away_is_not_counted():
    whole, anchor, refs, both = FLOPS_A_SAMPLE["paper", 320]
    paper = load_config("paper")
    assert flops_a_sample(paper.model_copy(update={"stratified": False})) == whole
    # rows 0 to 12 lack either, 13 to 21 the anchor, 111 to 119 references
    assert flops_a_sample(paper) == pytest.approx(whole - (13 * both + 9 * anchor + 9 * refs) / 120)


def test_work_without_a_mask_is_what_torch_counts():
    model, frames = ArtVModel.from_config(preset="shapes", mask=False), torch.randn(3, 2, 4, 16, 16)
    keep_refs, keep_anchor = torch.tensor([[1.0, 1, 0], [0, 1, 1]])
    conditions = Conditions(frames, frames[:, 0], frames[:, 1], keep_refs, keep_anchor, torch.randn(3, 32, 96))

    def counted(*present):
        with FlopCounterMode(display=False) as counter:
            model(frames[:, 0], torch.tensor([1, 2, 3]), conditions, *present).eps_BCHW.sum().backward()
        return counter.get_total_flops()

    shapes = load_config("shapes", mask=False, drop_ref=1 / 3, drop_anchor=1 / 3, first_frame_share=0.0)
    assert flops_a_sample(shapes) == pytest.approx(counted() / 3, rel=6e-3)
    shapes = with_loop(shapes.model_copy(update={"stratified": True}), "model", batch_size=3)
    present = Strata.of(shapes).present
    assert (present.refs, present.anchor) == (Rows(0, 3), Rows(1, 3))
    assert flops_a_sample(shapes) == pytest.approx(counted(present) / 3, rel=6e-3)


def test_clips_are_drawn_into_rows():
    torch.manual_seed(0)
    batch = Batch(torch.arange(64.0).view(64, 1, 1, 1, 1), torch.arange(64.0).view(64, 1, 1))
    first, second = shuffled(batch), shuffled(batch)
    for found in (first, second):
        assert torch.equal(found.latents_BTChw.flatten(), found.text_BLD.flatten())
        assert torch.equal(found.text_BLD.flatten().sort().values, torch.arange(64.0))
    assert not torch.equal(first.text_BLD, second.text_BLD)
