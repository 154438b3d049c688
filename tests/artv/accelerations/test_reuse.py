"""Accelerations: exact when they reuse nothing, fewer rows when they do, no memory from frame to frame."""

import numpy as np
import pytest
import torch

from artv import ArtVPipeline
from artv.accelerations import ReuseEvaluations, ReuseFeatures, ReuseGuidance, acceleration
from artv.anchors import anchor_strategy
from artv.denoiser import Denoiser
from artv.errors import UserError
from artv.guidance import Interval, ThreeTerm
from artv.networks import ArtVModel, Conditions, InferenceModel
from artv.rollout import Sampling, rollout
from artv.samplers import sample_dpmpp_2s_ancestral


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = ArtVModel.from_config(preset="shapes").eval()
    for network in (model.dynamic_network, model.mask_network):
        for block in network.anchor_blocks:
            torch.nn.init.normal_(block.proj_out.weight, std=0.2)
    return InferenceModel(model)


@torch.no_grad()
def latents(model, chosen, samples=2, frames=3):
    torch.manual_seed(1)
    text, null, first = torch.randn(2, 9, 96), torch.randn(1, 9, 96), torch.randn(2, 4, 16, 16)
    made = rollout(
        model,
        [text[:samples]],
        null,
        frames_per_prompt=frames,
        seeds=[0, 1][:samples],
        shape=(4, 16, 16),
        sampling=Sampling(guidance=ThreeTerm(), steps=4, acceleration=chosen),
        anchor=anchor_strategy("first"),
        first_BCHW=first[:samples],
    )
    return torch.stack([frame.latent_BCHW for frame in made])


@pytest.mark.parametrize("chosen", [ReuseGuidance(every=1), ReuseEvaluations(every=1), ReuseFeatures(every=1)])
def test_nothing_reused_is_exact(model, chosen):
    torch.testing.assert_close(latents(model, chosen), latents(model, None), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("chosen", [ReuseGuidance(), ReuseEvaluations(), ReuseFeatures()])
def test_no_state_between_videos_and_samples(model, chosen):
    first = latents(model, chosen)
    assert torch.equal(latents(model, chosen), first)
    torch.testing.assert_close(latents(model, chosen, samples=1), first[:, :1], atol=2e-4, rtol=1e-4)
    assert not torch.allclose(first, latents(model, None), atol=1e-2), "it approximates"


@pytest.mark.parametrize(
    "chosen,evaluations,rows",
    [
        (None, 9, 9 * 4),  # 5 steps: 9 evaluations, four branches each
        (ReuseGuidance(every=2), 9, 5 * 4 + 4 * 1),
        (ReuseGuidance(every=3), 9, 3 * 4 + 6 * 1),
        (ReuseEvaluations(every=3), 7, 7 * 4),  # the 6th and the 9th are left out
        (ReuseFeatures(), 9, 9 * 4),  # of four of them the shallow part alone
    ],
)
@torch.no_grad()
def test_how_much_is_saved(model, chosen, evaluations, rows):
    x = torch.randn(1, 4, 16, 16)
    one = torch.ones(1)
    conditions = Conditions(x[:, None].repeat(1, 2, 1, 1, 1), x, x, one, one, torch.randn(1, 9, 96))
    denoiser = Denoiser(
        model, model.encode(conditions), conditions.text_BLD, torch.randn(1, 9, 96), guidance=ThreeTerm()
    )
    sample_dpmpp_2s_ancestral(chosen(denoiser) if chosen else denoiser, x, model.schedule.sigmas(5))
    assert (denoiser.evaluations, denoiser.rows) == (evaluations, rows)


class Known:
    """Stands for a denoiser of which the noise of each branch is known: its own number times the clip."""

    SHARES = {frozenset(): 0.5, frozenset(["text"]): 0.3, frozenset(["ref"]): 0.4, frozenset(["anchor"]): 0.1}

    def __init__(self, guidance):
        self.guidance, self.asked = guidance, []

    def quantise(self, sigma):
        return 0, float(sigma)

    def noises(self, x, sigma, branches):
        self.asked.append((float(sigma), len(branches)))
        return [self.SHARES[branch] * float(sigma) * x for branch in branches]


def test_what_guidance_added_is_that_of_the_evaluation_before():
    """Equation 1: 0.25 · (0.5 − 0.4) + 0.25 · (0.5 − 0.1) + 6.5 · (0.5 − 0.3) of the level at which it was computed."""
    added = 0.25 * 0.1 + 0.25 * 0.4 + 6.5 * 0.2
    denoiser, x = Known(ThreeTerm()), torch.ones(1, 1, 1, 1)
    denoise = ReuseGuidance(every=3)(denoiser)
    for level, source in ((8.0, 8.0), (7.0, 8.0), (6.0, 8.0), (5.0, 5.0), (4.0, 5.0)):
        found = denoise(x, torch.tensor(level)).item()
        assert found == pytest.approx(1 - level * (0.5 * level + added * source))
    assert denoiser.asked == [(8, 4), (7, 1), (6, 1), (5, 4), (4, 1)]


@pytest.mark.parametrize("every", [2, 3, 10])
def test_outside_of_its_interval_nothing_is_added(every):
    """Guidance in (3, 6]: whatever is reused, it begins and ends there."""
    guidance = Interval(inner=ThreeTerm(), low=3.0, high=6.0)
    denoise = ReuseGuidance(every=every)(Known(guidance))
    for level in (8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0):
        found = denoise(torch.ones(1, 1, 1, 1), torch.tensor(level)).item()
        plain = 1 - level * 0.5 * level
        assert (found == pytest.approx(plain)) == (not 3 < level <= 6), level


@pytest.fixture(scope="module")
def packaged():
    return ArtVPipeline.from_pretrained("shapes")


@pytest.fixture(scope="module")
def exact(packaged):
    return clips(packaged)


PROMPTS = ["a red circle moves left", "a blue star spins"]


def clips(packaged, samples=slice(0, 2), **settings):
    """Two frames after a given one, as the preset samples them."""
    first = packaged(PROMPTS, num_frames=1, seed=5, steps=2).frames[samples, 0]
    seeds = [5, 6][samples]
    return packaged(PROMPTS[samples], num_frames=3, seed=seeds, image=list(first), **settings).frames.astype(float)


@pytest.mark.parametrize("chosen", ["reuse-features", "skip-copied"])
def test_the_packaged_model_is_followed_closely(packaged, exact, chosen):
    """Off by less than a quarter of what a still is; alone and in a batch the same but for rounding to bytes."""
    made, still = clips(packaged, acceleration=chosen), np.abs(exact - exact[:, :1]).mean()
    assert 0 < np.abs(made - exact).mean() < still / 4
    alone = clips(packaged, slice(1, 2), acceleration=chosen)
    assert np.abs(alone[0] - made[1]).max() <= 1


def test_by_name_and_mistakes():
    assert acceleration("reuse-guidance") == ReuseGuidance()
    assert acceleration({"name": "reuse-evaluations", "every": 4}) == ReuseEvaluations(every=4)
    with pytest.raises(UserError, match="reuse-guidance"):
        acceleration("reuse-guidence")
    with pytest.raises(UserError, match="has no setting 'evry'; did you mean every"):
        acceleration({"name": "reuse-guidance", "evry": 2})
    with pytest.raises(UserError, match="at least 1"):
        acceleration({"name": "reuse-guidance", "every": 0})
