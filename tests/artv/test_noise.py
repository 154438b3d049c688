"""Each sample's random numbers are its own: of seed, frame and purpose, and of nothing else."""

import hashlib

import torch

from artv.noise import FrameNoise, stream

CPU, SHAPE = torch.device("cpu"), (4, 8, 8)


def test_a_sample_has_the_same_numbers_in_any_batch():
    torch.manual_seed(1)
    together = FrameNoise([3, 9, 4], 2, SHAPE, CPU)
    first, second = together.draw(), together.draw()
    torch.manual_seed(2)
    alone = FrameNoise([9], 2, SHAPE, CPU)
    assert torch.equal(alone.draw()[0], first[1]) and torch.equal(alone.draw()[0], second[1])


def test_seed_frame_and_purpose_each_make_another_stream():
    keys = [(0, 0, ""), (1, 0, ""), (0, 1, ""), (0, 0, "references"), (1, 1, ""), (11, 0, ""), (1, 10, "")]
    drawn = {tuple(torch.randn(4, generator=stream(*key)).tolist()) for key in keys}
    assert len(drawn) == len(keys)


def test_the_numbers_are_standard_normal_and_uniform():
    noise = FrameNoise(range(200), 0, (64,), CPU)
    x = noise.draw()
    assert abs(float(x.mean())) < 0.03 and abs(float(x.std()) - 1) < 0.03
    assert abs(float(x[:-1].flatten().dot(x[1:].flatten()) / x[1:].numel())) < 0.03, "neighbouring seeds do not agree"
    u = noise.uniform()
    assert u.shape == (200,) and float(u.min()) >= 0 and float(u.max()) < 1 and abs(float(u.mean()) - 0.5) < 0.1


def test_a_sampler_draws_on_from_the_same_stream_and_zeros_draw_nothing():
    one, other = FrameNoise([5], 1, SHAPE, CPU), FrameNoise([5], 1, SHAPE, CPU)
    assert not other.zeros().any() and other.zeros().shape == (1, *SHAPE)
    first = one.draw()
    assert torch.equal(first, other(torch.tensor(2.0), torch.tensor(1.0)))
    assert not torch.equal(one.draw(), first)


def test_numbers_stay_what_they_were():
    """Clips are known by their seeds: other numbers would be other clips under the same cell's id."""
    key = int.from_bytes(hashlib.blake2b(b"7/2", digest_size=8).digest(), "little") & (2**63 - 1)
    assert stream(7, 2).initial_seed() == key
    key = int.from_bytes(hashlib.blake2b(b"7/2/references", digest_size=8).digest(), "little") & (2**63 - 1)
    assert stream(7, 2, "references").initial_seed() == key
