"""Which latents condition each frame: three prompts of four frames, under every anchor strategy.

Frames are numbered through the video, 0 … 11; prompt 1 has 0 … 3, prompt 2 has 4 … 7, prompt 3 has 8 … 11. A model that
notes what it is given stands for the networks, and each latent is another one, so that it says which frame it is of.
"""

from types import SimpleNamespace

import pytest
import torch

from artv.anchors import Blend, FirstFrame, GivenImage, LastOfPrompt, NoAnchor, Past, Sliding, UserImage
from artv.conditioning import constant
from artv.guidance import ThreeTerm
from artv.networks import Prediction
from artv.noise import FrameNoise
from artv.rollout import Sampling, frame_conditions, rollout
from artv.samplers import sample_euler
from artv.schedule import NoiseSchedule

FRAMES, PROMPTS, SHAPE, SEEDS = 4, 3, (2, 3, 3), [5, 6]
PLAIN = ThreeTerm(ref=0, anchor=0, text=0)


class Notes:
    """Predicts no noise, and keeps the conditions of every frame."""

    def __init__(self, num_refs=2):
        self.sizes, self.schedule, self.seen = SimpleNamespace(num_refs=num_refs), NoiseSchedule(), []

    def encode(self, conditions):
        self.seen.append(conditions)
        return SimpleNamespace(select=lambda index, keep_ref, keep_anchor: None)

    def predict_at(self, z, t, text, encoded, use_mask=True):
        return Prediction(torch.zeros_like(z), None)


def video(anchor, *, first=None, **settings):
    """The conditions by frame, and the latents (frames, B, C, H, W)."""
    model = Notes()
    texts = [torch.full((2, 1, 1), float(j)) for j in range(PROMPTS)]
    sampling = Sampling(guidance=PLAIN, steps=1, sampler=sample_euler, **settings)
    frames = rollout(
        model, texts, torch.zeros(1, 1, 1), frames_per_prompt=FRAMES, seeds=SEEDS, shape=SHAPE, sampling=sampling,
        anchor=anchor, first_BCHW=first,
    )  # fmt: skip
    latents = torch.stack([frame.latent_BCHW for frame in frames])
    made = range(len(latents) - len(model.seen), len(latents))  # a given first frame has no conditions
    return dict(zip(made, model.seen, strict=True)), latents


def numbers(tensors, latents):
    """Which frames these latents are."""
    return [int((latents == x).flatten(1).all(1).nonzero().item()) for x in tensors]


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        # Sec. 4 of the supplementary: the first frame for prompt 1, then the last frame of the prompt before
        (LastOfPrompt(), {1: 0, 2: 0, 3: 0, 4: 3, 5: 3, 6: 3, 7: 3, 8: 7, 9: 7, 10: 7, 11: 7}),
        (FirstFrame(), dict.fromkeys(range(1, 12), 0)),
        (Sliding(every=4), {1: 0, 2: 0, 3: 0, 4: 0, 5: 4, 6: 4, 7: 4, 8: 4, 9: 8, 10: 8, 11: 8}),
        (Sliding(every=1), {i: i - 1 for i in range(1, 12)}),
        (Blend(keep=1.0), dict.fromkeys(range(1, 12), 0)),
        (Blend(keep=0.0), {i: i - 1 for i in range(1, 12)}),
    ],
    ids=repr,
)
def test_the_anchor_of_each_frame(anchor, expected):
    conditions, latents = video(anchor)
    found = {i: numbers([c.anchor_BCHW], latents)[0] for i, c in conditions.items() if i > 0}
    assert found == expected
    assert all(c.keep_anchor_B.tolist() == [1, 1] for i, c in conditions.items() if i > 0)


@pytest.mark.parametrize("anchor", [LastOfPrompt(), NoAnchor()], ids=repr)
def test_the_references_are_the_two_frames_before_across_prompts_too(anchor):
    conditions, latents = video(anchor)
    expected = {1: [0, 0], **{i: [i - 2, i - 1] for i in range(2, 12)}}  # before the video begins, its first frame
    assert {i: numbers(c.refs_BKCHW.transpose(0, 1), latents) for i, c in conditions.items() if i > 0} == expected
    assert {i: numbers([c.copy_BCHW], latents) for i, c in conditions.items() if i > 0} == {
        i: [i - 1] for i in range(1, 12)
    }
    assert all(c.keep_ref_B.tolist() == [1, 1] for i, c in conditions.items() if i > 0)


def test_each_prompts_text_is_that_of_its_own_frames():
    conditions, _ = video(FirstFrame())
    assert [int(conditions[i].text_BLD[0, 0, 0]) for i in range(12)] == [0] * 4 + [1] * 4 + [2] * 4


def test_a_blend_is_a_running_mixture_in_closed_form():
    """keep^(i−1) of frame 0, and (1 − keep)·keep^(i−1−j) of each frame j up to the newest."""
    keep = 0.75
    conditions, z = video(Blend(keep=keep))
    for i in (1, 2, 5, 11):
        weights = [keep ** (i - 1), *((1 - keep) * keep ** (i - 1 - j) for j in range(1, i))]
        assert sum(weights) == pytest.approx(1)
        mixed = sum(w * z[j] for j, w in enumerate(weights))
        torch.testing.assert_close(conditions[i].anchor_BCHW, mixed)


def test_a_given_picture_is_the_anchor_of_every_frame_and_no_anchor_is_dropped():
    picture = torch.full(SHAPE, 7.0)
    conditions, _ = video(GivenImage(latent=picture))
    assert all(torch.equal(conditions[i].anchor_BCHW, picture.expand(2, *SHAPE)) for i in range(1, 12))
    conditions, _ = video(NoAnchor())
    assert all(c.keep_anchor_B.tolist() == [0, 0] and not c.anchor_BCHW.any() for c in conditions.values())


def test_the_first_frame_is_made_from_the_text_alone_or_is_the_given_one():
    conditions, latents = video(FirstFrame())
    start = conditions[0]
    assert start.keep_ref_B.tolist() == start.keep_anchor_B.tolist() == [0, 0]
    assert not start.refs_BKCHW.any() and not start.copy_BCHW.any() and not start.anchor_BCHW.any()
    given = torch.arange(36.0).view(2, *SHAPE)
    conditions, with_first = video(FirstFrame(), first=given)
    assert 0 not in conditions and torch.equal(with_first[0], given)
    assert torch.equal(with_first[1:], latents[1:]), "the noise of a frame is its own, whatever came before"


def test_a_strategy_sees_what_was_made_so_far():
    seen = []

    def note(past):
        seen.append(past)
        return past.prompt_anchor

    _, z = video(note)
    assert [(past.index, past.prompt) for past in seen] == [(i, i // 4) for i in range(1, 12)]
    assert numbers([past.newest for past in seen], z) == list(range(11))
    assert numbers([past.first for past in seen], z) == [0] * 11
    assert numbers([past.prompt_anchor for past in seen], z) == [0, 0, 0, 3, 3, 3, 3, 7, 7, 7, 7]
    assert seen[0].current is None and numbers([past.current for past in seen[1:]], z) == [
        0, 0, 0, 3, 3, 3, 3, 7, 7, 7,
    ]  # fmt: skip


def test_noise_is_put_on_the_references_and_not_on_what_is_copied():
    clean, latents = video(FirstFrame())
    noisy, same = video(FirstFrame(), ref_noise=constant(0.5))
    assert torch.equal(latents, same), "a frame's own noise stays"
    for i in (1, 7):
        noise = FrameNoise(SEEDS, i, SHAPE, torch.device("cpu"), "references")
        noise.uniform()
        drawn = torch.stack([noise.draw(), noise.draw()], 1)
        torch.testing.assert_close(noisy[i].refs_BKCHW, 0.75**0.5 * clean[i].refs_BKCHW + 0.5 * drawn)
        assert torch.equal(noisy[i].copy_BCHW, clean[i].copy_BCHW)


@pytest.mark.parametrize(
    ("history", "expected"), [([1.0], [1, 1, 1]), ([1.0, 2.0], [1, 1, 2]), ([1.0, 2.0, 3.0], [1, 2, 3])]
)
def test_a_window_that_reaches_before_the_start_repeats_the_first_frame(history, expected):
    latents = [torch.full((1, *SHAPE), value) for value in history]
    noise = FrameNoise([0], 3, SHAPE, torch.device("cpu"), "references")
    found = frame_conditions(Notes(num_refs=3), latents, None, torch.zeros(1, 1, 1), noise, constant(0.0))
    assert found.refs_BKCHW[0, :, 0, 0, 0].tolist() == expected
    assert float(found.copy_BCHW.mean()) == history[-1]
    assert found.keep_ref_B.tolist() == [1] and found.keep_anchor_B.tolist() == [0]


def test_a_picture_must_be_encoded_before_it_is_an_anchor():
    past = Past(
        index=1, prompt=0, first=torch.zeros(1), newest=torch.zeros(1), prompt_anchor=torch.zeros(1), current=None
    )
    with pytest.raises(TypeError, match="has to be encoded"):
        UserImage(picture="a.png")(past)
    encoded = UserImage(picture="a.png").encoded(lambda picture: torch.full((1,), float(len(picture))))
    assert encoded(past).tolist() == [5]


def test_a_frame_begins_as_noise_of_the_deviation_of_noised_data():
    """Latents of unit variance with noise of the largest sigma have the variance 1 + sigma squared."""
    begun = []

    def nothing(denoise, x, sigmas, **rest):
        begun.append((x, sigmas))
        return x

    model, shape = Notes(), (4, 16, 16)
    sampling = Sampling(guidance=PLAIN, steps=10, sampler=nothing)
    list(
        rollout(
            model, [torch.zeros(2, 1, 1)], torch.zeros(1, 1, 1), frames_per_prompt=1, seeds=SEEDS, shape=shape,
            sampling=sampling, anchor=FirstFrame(),
        )
    )  # fmt: skip
    ((x, sigmas),) = begun
    assert sigmas[0] > 10 and float(x.std()) == pytest.approx((1 + float(sigmas[0]) ** 2) ** 0.5, rel=0.05)
