"""Clips by which a training is watched: held out where there are such, encoded as the training's own."""

from pathlib import Path

import pytest
import torch

from artv.autoencoder import encode_frames
from artv.data.shapes import ShapesWorld
from artv.data.shards import read_clips
from artv.errors import UserError
from artv.presets import load_components
from artv.training.clips import Clips
from artv.training.config import load_config, with_loop
from artv.training.run import make_latents, run
from artv.training.watched import _encoded, held_out

CPU = torch.device("cpu")
TINY = {"clips": 3, "num_frames": 2, "size": 16, "seed": 5, "validation_clips": 2, "validate_every": 10}


@pytest.fixture(scope="module")
def components():
    return load_components("shapes").values()


def config(steps=10, **settings):
    return with_loop(load_config("shapes", **{**TINY, **settings}), "model", steps=steps, precision="fp32")


@pytest.mark.parametrize(
    ("every", "sample_every", "watched"), [(0, 0, False), (10, 0, True), (11, 0, False), (0, 10, True), (0, 11, False)]
)
def test_a_training_that_ends_before_is_not_watched(every, sample_every, watched):
    settings = config(validate_every=every, sample_every=sample_every)
    assert (held_out(settings, Clips(settings, CPU)) is not None) == watched


def test_of_the_built_in_world_they_are_of_the_other_split(components):
    settings = config()
    clips = Clips(settings, CPU)
    batch, captions = _encoded(held_out(settings, clips), 2, *components)
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
    held = held_out(given, Clips(given, CPU))
    (latents, text), captions = read_clips(Path(held.config.data), 3)
    batch, encoded = _encoded(Clips(other, CPU), 3, *components)
    assert held.encoded and held.count == 3 and sorted(captions) == sorted(encoded)
    order = [captions.index(caption) for caption in encoded]
    assert torch.equal(latents[order], batch.latents_BTChw) and torch.equal(text[order], batch.text_BLD)


@pytest.mark.parametrize(
    ("made", "theirs"),
    [
        ({"size": 32}, "size = 32, and the settings say 16"),
        ({"num_frames": 3}, "num_frames = 3, and the settings say 2"),
        ({"fps": 4.0}, "fps = 4.0, and the settings say 8.0"),
        ({}, "encoders = .*, and the settings say 0123"),
    ],
    ids=str,
)
def test_shards_of_other_settings_or_encoders_are_refused(tmp_path, components, made, theirs):
    """Losses on them would be numbers of something else."""
    other = config(**made)
    make_latents(other, tmp_path / "held", Clips(other, CPU), *components)
    given = config(validation=str(tmp_path / "held"))
    with pytest.raises(UserError, match=f"held holds latents with {theirs}"):
        held_out(given, Clips(given, CPU), encoders="0123")


def test_a_training_looks_at_them_before_it_encodes_its_own(tmp_path):
    autoencoder, text_encoder = load_components("shapes").values()
    with torch.no_grad():
        autoencoder.encoder.conv_in.weight.mul_(2)
    other = config()
    make_latents(other, tmp_path / "held", Clips(other, CPU), autoencoder, text_encoder)
    given = config(validation=str(tmp_path / "held"), stream=True)
    with pytest.raises(UserError, match="held holds latents with encoders = "):
        run(given, tmp_path / "run", CPU, components=load_components("shapes"), stages=["model"])
    assert not (tmp_path / "run" / "latents").exists()


def test_without_any_others_they_are_the_trainings_own(tmp_path, components):
    own = config()
    make_latents(own, tmp_path / "own", Clips(own, CPU), *components)
    settings = config(data=str(tmp_path / "own"))
    clips = Clips(settings, CPU)
    assert held_out(settings, clips) is clips
