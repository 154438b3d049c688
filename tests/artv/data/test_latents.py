"""A training set in memory: each clip encoded once, in order, and drawn at random with its own text."""

import pytest
import torch

from artv.data.latents import LatentCache


def built(sizes=(3, 2, 1), frames=4, done=None):
    """Batches of clips of which every pixel says which clip and frame it is; latents are its mean, texts its number."""
    batches, number = [], 0
    for size in sizes:
        clips = torch.stack(
            [torch.stack([torch.full((3, 4, 4), 10 * (number + i) + t) for t in range(frames)]) for i in range(size)]
        )
        batches.append((clips.to(torch.uint8), [str(number + i) for i in range(size)]))
        number += size
    seen = [] if done is None else done

    def encode_frames(flat_N3HW):
        return flat_N3HW.float().mean((1, 2, 3), keepdim=True)

    def encode_text(captions):
        return torch.tensor([float(c) for c in captions]).view(-1, 1, 1)

    return LatentCache.build(iter(batches), encode_frames, encode_text, seen.append)


def test_every_clip_is_there_once_and_in_order():
    done = []
    cache = built(done=done)
    assert len(cache) == 6 and done == [1, 2, 3, 4, 5, 6]
    expected = torch.tensor([[10.0 * i + t for t in range(4)] for i in range(6)])
    assert torch.equal(cache.latents_NTChw.flatten(2)[..., 0].float(), expected)
    assert cache.text_NLD.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert cache.latents_NTChw.dtype == cache.text_NLD.dtype == torch.float16


@pytest.mark.parametrize("sizes", [(6,), (1,) * 6, (2, 4)])
def test_how_it_was_cut_into_batches_does_not_matter(sizes):
    assert torch.equal(built(sizes).latents_NTChw, built().latents_NTChw)


def test_a_drawn_clip_has_its_own_text():
    torch.manual_seed(0)
    batch = built().sample(300)
    clips = batch.latents_BTChw[:, 0].flatten() / 10
    assert torch.equal(clips, batch.text_BLD.flatten()) and batch.latents_BTChw.dtype == torch.float32
    counts = torch.bincount(clips.long(), minlength=6)
    assert ((counts - 50) ** 2 / 50.0).sum() < 20.5  # chi-squared with 5 degrees, p = 0.001


def test_draws_are_the_global_generators():
    cache = built()
    torch.manual_seed(3)
    expected = torch.randint(6, (5,))
    torch.manual_seed(3)
    assert torch.equal(cache.sample(5).text_BLD.flatten().long(), expected)


def test_nothing_is_kept_for_gradients():
    weight = torch.ones(1, requires_grad=True)
    cache = LatentCache.build(
        [(torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8), ["a"])],
        lambda flat: flat.float()[:, :1] * weight,
        lambda captions: weight.view(1, 1, 1),
        lambda done: None,
    )
    assert not cache.latents_NTChw.requires_grad and not cache.text_NLD.requires_grad
