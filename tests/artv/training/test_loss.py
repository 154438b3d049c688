"""The objective by value: which frames, noise and conditions a model is given, and how errors are weighed.

Latents say which frame of which clip they are, and a model that notes what it is given stands for the networks.
"""

from types import SimpleNamespace

import pytest
import torch

from artv.conditioning import ConditionDropout, constant
from artv.data.latents import Batch
from artv.networks import Prediction
from artv.schedule import NoiseSchedule
from artv.training.loss import draw_conditions, noise_prediction_loss

CLIPS, FRAMES = 600, 6
NOTHING = ConditionDropout(text=0, ref=0, anchor=0)


def numbered(clips=CLIPS, frames=FRAMES):
    """Latents 100·clip + frame everywhere, texts the clip's number."""
    value = 100.0 * torch.arange(clips)[:, None] + torch.arange(frames)
    latents = value[:, :, None, None, None].expand(clips, frames, 1, 2, 2)
    return Batch(latents.clone(), torch.arange(float(clips)).view(-1, 1, 1).expand(clips, 2, 3).clone())


class Notes:
    """Predicts nothing; keeps what it was given."""

    def __init__(self, predict=torch.zeros_like):
        self.sizes, self.schedule, self.predict = SimpleNamespace(num_refs=2), NoiseSchedule(), predict

    def __call__(self, z, t, conditions):
        self.z, self.t, self.conditions = z, t, conditions
        return Prediction(self.predict(z), None)


def given(model=None, batch=None, **settings):
    torch.manual_seed(0)
    model = model or Notes()
    batch = batch or numbered()
    options = {"dropout": NOTHING, "levels": constant(0.0), "first_frame_share": 0.0, **settings}
    model.loss = noise_prediction_loss(model, batch, null_text_LD=torch.full((2, 3), -1.0), **options)
    return model


def frames_of(values):
    return (values.flatten(1)[:, 0] % 100).round().long()


def test_references_are_the_two_frames_before_the_target():
    model = given()
    newest = frames_of(model.conditions.copy_BCHW)
    older = frames_of(model.conditions.refs_BKCHW[:, 0])
    assert set(newest.tolist()) == set(range(FRAMES - 1)), "targets are 1 … 5"
    assert torch.equal(older, (newest - 1).clamp_min(0))
    assert torch.equal(model.conditions.refs_BKCHW[:, 1], model.conditions.copy_BCHW)
    assert not frames_of(model.conditions.anchor_BCHW).any()
    clips = model.conditions.anchor_BCHW.flatten(1)[:, 0] / 100
    assert torch.equal(clips, torch.arange(float(CLIPS))), "each of its own clip"
    assert torch.equal(model.conditions.text_BLD[:, 0, 0], torch.arange(float(CLIPS)))


def test_targets_are_all_later_frames_alike():
    newest = frames_of(given().conditions.copy_BCHW)
    counts = torch.bincount(newest, minlength=FRAMES - 1)
    expected = CLIPS / (FRAMES - 1)
    assert ((counts - expected) ** 2 / expected).sum() < 18.5  # chi-squared with 4 degrees, p = 0.001


def test_the_noisy_latent_is_the_target_in_noise_of_its_timestep():
    """Clips of zeros: at every t the noisy latent has the variance 1 − ᾱ."""
    batch = Batch(torch.zeros(2000, 3, 4, 4, 4), torch.zeros(2000, 2, 3))
    model = given(batch=batch)
    s = model.schedule.a_s(model.t)[1].flatten()
    ratio = model.z.flatten(1).std(1) / s
    assert ratio.mean().item() == pytest.approx(1, abs=0.01)
    assert model.t.min() >= 0 and model.t.max() <= 999
    assert model.t.double().mean().item() == pytest.approx(499.5, abs=4 * 1000 / (12 * 2000) ** 0.5)
    assert model.loss.item() == pytest.approx(1, abs=0.02), "of noise, when nothing is predicted"


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_first_frames_are_made_from_the_text_alone(share):
    model = given(first_frame_share=share)
    alone = 1 - model.conditions.keep_ref_B
    assert torch.equal(model.conditions.keep_ref_B, model.conditions.keep_anchor_B)
    assert alone.mean().item() == pytest.approx(share, abs=3 * (0.25 / CLIPS) ** 0.5)


def test_clips_of_one_frame_are_first_frames():
    model = given(batch=numbered(frames=1), first_frame_share=0.0)
    assert not model.conditions.keep_ref_B.any() and not model.conditions.keep_anchor_B.any()


@pytest.mark.parametrize("name", ["text", "ref", "anchor"])
def test_each_condition_is_dropped_with_its_own_chance(name):
    batch, rows = numbered(2000, 2), torch.ones(2000, dtype=torch.long)
    torch.manual_seed(0)
    dropout = ConditionDropout(**{**{"text": 0.0, "ref": 0.0, "anchor": 0.0}, name: 0.2})
    found = draw_conditions(batch, rows, torch.full((2, 3), -1.0), dropout, constant(0.0), 2)
    dropped = {
        "text": (found.text_BLD == -1).all((1, 2)),
        "ref": found.keep_ref_B == 0,
        "anchor": found.keep_anchor_B == 0,
    }
    assert dropped.pop(name).double().mean().item() == pytest.approx(0.2, abs=0.03)
    assert not any(others.any() for others in dropped.values())


def test_conditions_are_dropped_independently():
    batch, rows = numbered(4000, 2), torch.ones(4000, dtype=torch.long)
    torch.manual_seed(0)
    half = ConditionDropout(text=0.5, ref=0.5, anchor=0.5)
    found = draw_conditions(batch, rows, torch.full((2, 3), -1.0), half, constant(0.0), 2)
    kept = torch.stack([(found.text_BLD[:, 0, 0] != -1).float(), found.keep_ref_B, found.keep_anchor_B])
    off = torch.corrcoef(kept) - torch.eye(3)
    assert off.abs().max() < 4 / 4000**0.5


@pytest.mark.parametrize("copy_noised", [False, True])
def test_noise_is_on_what_adapters_see_and_on_what_is_copied_only_if_asked_for(copy_noised):
    model = given(levels=constant(1.0), copy_noised=copy_noised)
    assert model.conditions.refs_BKCHW.abs().max() < 10, "noise alone"
    same = torch.equal(model.conditions.copy_BCHW, model.conditions.refs_BKCHW[:, 1])
    assert same == copy_noised and (copy_noised or model.conditions.copy_BCHW.max() > 100)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_starts_repeat_the_newest_frame(share):
    torch.manual_seed(0)
    batch, rows = numbered(2000), torch.full((2000,), 4)
    found = draw_conditions(batch, rows, torch.zeros(2, 3), NOTHING, constant(0.0), 2, start_share=share)
    repeated = frames_of(found.refs_BKCHW[:, 0]) == 3
    assert repeated.double().mean().item() == pytest.approx(share, abs=0.035)
    assert (frames_of(found.copy_BCHW) == 3).all() and (frames_of(found.refs_BKCHW[~repeated][:, 0]) == 2).all()


@pytest.mark.parametrize("cap", [1.0, 3.0, 1e9])
def test_errors_are_weighed_by_the_noise_level_up_to_the_cap(cap):
    """1 + sigma² in Python's arithmetic; the noise is what is left of the noisy latent of a clip of zeros."""
    batch = Batch(torch.zeros(50, 2, 1, 2, 2), torch.zeros(50, 2, 3))
    model = given(batch=batch, weight_cap=cap)
    sigma = model.schedule.all_sigmas[model.t]
    noise = model.z / model.schedule.a_s(model.t)[1]
    weights = torch.minimum(1 + sigma**2, torch.tensor(cap).double())
    expected = (weights.view(-1, 1, 1, 1) * noise.double().square()).mean()
    assert model.loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_an_error_is_squared_and_averaged():
    batch = Batch(torch.zeros(400, 2, 4, 4, 4), torch.zeros(400, 2, 3))
    model = given(Notes(lambda z: torch.full_like(z, 3.0)), batch)
    assert model.loss.item() == pytest.approx(3**2 + 1, rel=0.02), "noise of variance 1 around 0"
