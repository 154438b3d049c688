"""ART-V as a method: its clips do not depend on the batch, and what changes them changes its digest."""

import numpy as np
import pytest
import torch
from PIL import Image

from artv.anchors import UserImage
from artv.errors import UserError
from artv_eval import FailedClip, testing
from artv_eval.methods import checkpoints
from artv_eval.methods.artv import ArtV, load_pipeline
from artv_eval.methods.first_frames import FolderOfPictures


def test_artv_holds_the_contract_of_methods():
    requests = testing.toy_requests(2, frames=2)
    testing.check_method(ArtV, settings={"steps": 1, "sampler": "euler"}, requests=requests)
    (clip,) = ArtV(steps=2, sampler="euler").generate(requests[:1])
    assert clip.mask.shape[0] == 1 and np.array_equal(clip.frames[0].shape, (64, 64, 3))
    assert ArtV("shapes:no-mask", steps=1, sampler="euler").generate(requests[:1])[0].mask is None


def test_the_first_batch_on_a_gpu_is_made_ahead_in_small(monkeypatch, requests):
    """Seconds then hold no compilers, and clips stay what they are."""
    expected = ArtV(steps=2).generate(requests)
    calls = []
    pipe = load_pipeline("shapes", "cpu")
    monkeypatch.setattr(ArtV, "warmed_devices", ("cpu",))
    monkeypatch.setattr(
        "artv_eval.methods.artv.load_pipeline",
        lambda *_: lambda *a, **k: (calls.append(k["num_frames"]), pipe(*a, **k))[1],
    )
    method = ArtV(steps=2)
    for _ in range(2):
        for ours, theirs in zip(method.generate(requests), expected, strict=True):
            assert np.array_equal(ours.frames, theirs.frames)
    frames = requests[0].num_frames
    assert calls == [2, frames, frames]


def test_a_latent_that_is_not_finite_costs_artv_one_clip_of_the_batch():
    from artv.samplers import sample_euler

    requests = testing.toy_requests(3, frames=3)
    lost = {1}

    def poisoned(denoise, x, sigmas, **kw):
        def broken(x, sigma):
            x0 = denoise(x, sigma)
            x0[list(lost)] = float("nan")
            return x0

        return sample_euler(broken, x, sigmas, **kw)

    clips = list(ArtV(steps=2, sampler=poisoned).generate(requests))
    assert clips[1] == FailedClip("latent not finite at frame 1, step 0")
    for clip, whole in zip(clips, ArtV(steps=2, sampler="euler").generate(requests), strict=True):
        assert isinstance(clip, FailedClip) or np.array_equal(clip.frames, whole.frames)
    lost |= {0, 2}
    assert all(isinstance(clip, FailedClip) for clip in ArtV(steps=2, sampler=poisoned).generate(requests))


def test_other_pictures_under_the_same_name_are_another_method(tmp_path):
    """So that a run made with the old ones does not pass for finished."""
    picture = tmp_path / "0.png"

    def digests():
        return [
            ArtV(first_frame=FolderOfPictures(str(tmp_path))).digest(),
            ArtV(anchor=UserImage(picture=picture)).digest(),
        ]

    Image.new("RGB", (8, 8), "red").save(picture)
    before, again = digests(), digests()
    Image.new("RGB", (8, 8), "blue").save(picture)
    assert before == again and ArtV().digest() == checkpoints.digest("shapes")
    assert not {*before, *digests()} & {ArtV().digest()} and len({*before, *digests()}) == 4
    picture.write_text("no picture")
    with pytest.raises(UserError, match=r"0\.png cannot be read"):
        ArtV(anchor=UserImage(picture=picture)).digest()


def test_a_clip_is_the_same_in_a_process_of_one_thread_or_of_many():
    """Bit for bit: executors share the cores in many ways."""
    from artv_eval.methods.artv import ArtV
    from artv_eval.protocols.cards import shapes_1

    requests = shapes_1().requests(num=3, frames=3)
    method, made, before = ArtV(checkpoint="shapes", steps=1), [], torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            made.append([*method.generate(requests), *method.stream(requests[:2])])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*made, strict=True):
        assert np.array_equal(a.frames, b.frames) and np.array_equal(a.mask, b.mask)


def test_a_clip_is_the_same_alone_and_with_others():
    """Bit for bit on a CPU, where a batch of one is made as a pair: so a run that was cut off goes on as it began."""
    from artv_eval.methods.artv import ArtV
    from artv_eval.protocols.cards import shapes_1

    requests = shapes_1().requests(num=3, frames=3)
    method = ArtV(checkpoint="shapes", steps=1)
    together = method.generate(requests)
    for request, other in zip(requests, together, strict=True):
        (alone,) = method.generate([request])
        assert (alone.frames == other.frames).all() and (alone.mask == other.mask).all()
    pair = method.generate(requests[1:])
    assert all((a.frames == b.frames).all() for a, b in zip(pair, together[1:], strict=True))
