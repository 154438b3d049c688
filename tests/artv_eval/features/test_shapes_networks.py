"""The networks that judge the shapes world: sizes, saving and loading, tokenizer, damage."""

import json

import pytest
import torch

from artv.data.shapes import ShapesWorld
from artv.errors import UserError
from artv_eval.corruptions import CORRUPTIONS, corrupt, corrupt_randomly
from artv_eval.feature_training.shapes import main
from artv_eval.features import shapes
from artv_eval.features.base import AttributeClassifier, FeatureExtractor, TextImageExtractor
from artv_eval.features.shapes_networks import (
    ClassifierConfig,
    ClipConfig,
    CompactTokenizer,
    ShapesClassifier,
    build_clip,
    world_bpe_ids,
)

SMALL = ClassifierConfig(widths=(4, 4, 8, 8), dim=5, hidden=8)


@pytest.fixture(scope="module")
def clips():
    return ShapesWorld("test").batch(range(4))


@pytest.fixture
def classifier_folder(tmp_path):
    torch.manual_seed(0)
    shapes.save_weights(ShapesClassifier(SMALL), tmp_path, "classifier", SMALL.to_dict(), {"steps": 0})
    return tmp_path


def test_networks_stay_within_their_budget():
    classifier = sum(p.numel() for p in ShapesClassifier().parameters())
    clip = sum(p.numel() for p in build_clip(ClipConfig(bpe_ids=world_bpe_ids(2000))).parameters())
    assert classifier <= 1_000_000 and clip <= 900_000


def test_classifier_survives_saving_up_to_fp16(classifier_folder, clips):
    torch.manual_seed(0)
    original = ShapesClassifier(SMALL).eval()
    loaded = shapes.shapes_classifier(str(classifier_folder))
    assert isinstance(loaded, FeatureExtractor) and isinstance(loaded, AttributeClassifier)
    with torch.no_grad():
        expected = original.features(clips.frames.float() / 255)
    torch.testing.assert_close(loaded(clips.frames), expected, atol=5e-3, rtol=1e-2)
    assert loaded.dim == 5


def test_digest_follows_the_weights(classifier_folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    torch.manual_seed(1)
    shapes.save_weights(ShapesClassifier(SMALL), other, "classifier", SMALL.to_dict(), {})
    first, again = (shapes.shapes_classifier(str(classifier_folder)).digest for _ in range(2))
    assert first == again != shapes.shapes_classifier(str(other)).digest


def test_features_do_not_depend_on_the_batch(classifier_folder, clips):
    extractor = shapes.shapes_classifier(str(classifier_folder))
    alone = torch.cat([extractor(clip[None]) for clip in clips.frames])
    torch.testing.assert_close(extractor(clips.frames), alone, atol=1e-5, rtol=1e-5)


def test_other_sizes_and_lengths_are_accepted(classifier_folder):
    extractor = shapes.shapes_classifier(str(classifier_folder))
    assert extractor(torch.zeros(2, 5, 3, 48, 80, dtype=torch.uint8)).shape == (2, 5)
    with pytest.raises(UserError, match="T at least 2"):
        extractor(torch.zeros(2, 1, 3, 64, 64, dtype=torch.uint8))


@pytest.mark.parametrize("component", ["classifier", "clip"])
def test_absent_weights_are_named_with_the_command_that_makes_them(tmp_path, component):
    load = {"classifier": shapes.shapes_classifier, "clip": shapes.shapes_clip}[component]
    with pytest.raises(UserError, match=f"feature_training.shapes --component {component}"):
        load(str(tmp_path / "nowhere"))


def test_weights_of_another_component_are_refused(classifier_folder):
    with pytest.raises(UserError, match="'classifier' weights"):
        shapes.shapes_clip(str(classifier_folder))


def test_tokenizer_knows_every_caption_and_ends_with_the_highest_id(clips):
    ids = world_bpe_ids()
    tokenize = CompactTokenizer(ids, 40)
    captions = ShapesWorld("test").batch(range(100, 400)).captions
    tokens = tokenize(captions)
    assert not (tokens == 2).any(), "a caption holds a word that the vocabulary lacks"
    assert (tokens.max(1).values == tokenize.vocab_size - 1).all()
    assert len({tuple(row.tolist()) for row in tokens}) == len(set(captions))
    assert (tokenize(["a zebra moves left"])[0] == 2).sum() == 1
    assert tokenize(["red " * 99])[0, -1] == tokenize.vocab_size - 1


def test_clip_gives_unit_vectors_after_loading(tmp_path, clips):
    config = ClipConfig(bpe_ids=world_bpe_ids(500), width=32, vision_layers=1, text_layers=1, embed_dim=16)
    torch.manual_seed(0)
    network = build_clip(config)
    shapes.save_weights(network, tmp_path, "clip", config.to_dict(), {})
    clip = shapes.shapes_clip(str(tmp_path))
    assert isinstance(clip, TextImageExtractor)
    images, texts = clip.images(clips.frames[:, 0]), clip.texts(clips.captions)
    for vectors in (images, texts):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    with torch.no_grad():
        expected = network.eval().encode_image(clips.frames[:, 0].float() / 127.5 - 1, normalize=True)
    torch.testing.assert_close(images, expected, atol=5e-3, rtol=1e-2)


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_damage_grows_with_its_strength_and_is_reproducible(name, clips):
    def change(strength):
        return (corrupt(clips.frames, name, strength).float() - clips.frames.float()).abs().mean()

    assert change(0.0) < 0.6  # rounding only
    assert change(0.0) < change(0.3) < change(1.0)
    assert torch.equal(corrupt(clips.frames, name, 0.5, seed=3), corrupt(clips.frames, name, 0.5, seed=3))


def test_full_freeze_is_a_still_of_the_first_frame(clips):
    frozen = corrupt(clips.frames, "freeze", 1.0)
    assert torch.equal(frozen, clips.frames[:, :1].expand_as(frozen))


def test_labels_of_random_damage_are_true(clips):
    x = clips.frames.float() / 255
    damaged, strength = corrupt_randomly(x.repeat(8, 1, 1, 1, 1), torch.Generator().manual_seed(0))
    clean = (strength == 0).all(1)
    assert 0 < clean.sum() < len(clean)
    assert torch.equal(damaged[clean], x.repeat(8, 1, 1, 1, 1)[clean])


@pytest.mark.parametrize("component", ["classifier", "clip"])
def test_training_command_writes_weights_that_load(component, tmp_path, capsys):
    args = ["--component", component, "--out", str(tmp_path), "--minutes", "0.005", "--device", "cpu"]
    assert main([*args, "--batch-size", "2", "--pool", "4", "--check", "4"]) == 0
    record = json.loads((tmp_path / "config.json").read_text())["training"]
    assert record["steps"] >= 1 and record["held_out"]["clips"] == 4
    load = {"classifier": shapes.shapes_classifier, "clip": shapes.shapes_clip}[component]
    assert len(load(str(tmp_path)).digest) == 16
    assert "saved to" in capsys.readouterr().out
