"""Clips by which a training is watched: held out where there are such, encoded as the training's own."""

from pathlib import Path

import pytest
import torch

from artv.autoencoder import encode_frames
from artv.data.shapes import ShapesWorld
from artv.data.shards import read_clips
from artv.presets import load_components
from artv.training.clips import Clips
from artv.training.config import load_config, with_loop
from artv.training.run import make_latents
from artv.training.watched import _encoded, _held_out, make_validation

CPU = torch.device("cpu")
TINY = {"clips": 3, "num_frames": 2, "size": 16, "seed": 5, "validation_clips": 2}


@pytest.fixture(scope="module")
def components():
    return load_components("shapes").values()


def config(steps=10, **settings):
    return with_loop(load_config("shapes", **{**TINY, **settings}), "model", steps=steps, precision="fp32")


@pytest.mark.parametrize(
    ("every", "sample_every", "watched"), [(0, 0, False), (10, 0, True), (11, 0, False), (0, 10, True), (0, 11, False)]
)
def test_a_training_that_ends_before_is_not_watched(tmp_path, components, every, sample_every, watched):
    settings = config(validate_every=every, sample_every=sample_every)
    assert (make_validation(settings, tmp_path, Clips(settings, CPU), *components) is not None) == watched


def test_of_the_built_in_world_they_are_of_the_other_split(components):
    settings = config()
    clips = Clips(settings, CPU)
    batch, captions = _encoded(_held_out(settings, clips), 2, *components)
    world = ShapesWorld("test", 5, 2, 16).batch(range(2))
    assert captions == world.captions and not set(captions) & set(clips.load(3)[1])
    autoencoder, text_encoder = components
    with torch.no_grad():
        latents = encode_frames(autoencoder, world.frames.flatten(0, 1)).unflatten(0, (2, 2))
    torch.testing.assert_close(batch.latents_BTChw.float(), latents, atol=2e-2, rtol=2e-3)  # kept in half precision
    torch.testing.assert_close(batch.text_BLD.float(), text_encoder.encode(captions), atol=2e-2, rtol=2e-3)


def test_shards_that_were_given_hold_the_same_clips(tmp_path, components):
    """In an order of their own: each caption has the latents and the text that it has when it is encoded now."""
    other = config(seed=6)
    make_latents(other, tmp_path / "held", Clips(other, CPU), *components)
    given = config(validation=str(tmp_path / "held"))
    held = _held_out(given, Clips(given, CPU))
    (latents, text), captions = read_clips(Path(held.config.data), 3)
    batch, encoded = _encoded(Clips(other, CPU), 3, *components)
    assert held.encoded and held.count == 3 and sorted(captions) == sorted(encoded)
    order = [captions.index(caption) for caption in encoded]
    assert torch.equal(latents[order], batch.latents_BTChw) and torch.equal(text[order], batch.text_BLD)


def test_without_any_others_they_are_the_trainings_own(tmp_path, components):
    own = config()
    make_latents(own, tmp_path / "own", Clips(own, CPU), *components)
    settings = config(data=str(tmp_path / "own"))
    clips = Clips(settings, CPU)
    assert _held_out(settings, clips) is clips
