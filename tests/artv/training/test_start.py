"""What a training starts from: the weights that were named and no others, in float32, and of networks that fit."""

import pytest
import torch

from artv.errors import UserError
from artv.networks import ArtVModel
from artv.pipeline import ArtVPipeline
from artv.presets import ASSETS
from artv.training import start as module
from artv.training.config import load_config
from artv.training.start import start


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    ArtVModel.from_config(preset="shapes", mask=False).save_pretrained(folder, variant="fp16")
    return folder


def same(a, b) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_weights_are_float32_whatever_they_were(saved):
    config = load_config("shapes", mask=False)
    model, given = start(config, str(saved), None, "fp16")
    assert given == {} and {p.dtype for p in model.parameters()} == {torch.float32}
    torch.manual_seed(0)
    assert same(model, ArtVModel.from_config(preset="shapes", mask=False))


@pytest.mark.parametrize(
    ("switches", "words"),
    [
        ({}, r"mask\.channels is None, not \(16, 24, 24\)"),
        ({"mask": False, "anchor": False}, "anchor is True, not False"),
    ],
)
def test_weights_of_other_networks_are_refused(saved, switches, words):
    expected = f"holds other networks than the preset shapes with these switches: {words}"
    with pytest.raises(UserError, match=expected):
        start(load_config("shapes", **switches), str(saved), None, "fp16")


def test_a_folder_of_something_else_is_one_line():
    with pytest.raises(UserError, match="is no ArtVModel's"):
        start(load_config("shapes"), str(ASSETS / "text_encoder"), None, None)


@pytest.mark.parametrize(("name", "switches"), [("shapes", {}), ("shapes:no-mask", {"mask": False})])
def test_a_packaged_pipeline_is_itself_and_brings_its_encoders(name, switches):
    model, given = start(load_config("shapes", **switches), name, None, None)
    pipe = ArtVPipeline.from_pretrained(name)
    assert same(model, pipe.model)
    assert list(given) == ["autoencoder", "text_encoder"]
    assert all(same(module, getattr(pipe, part)) for part, module in given.items())


def test_nothing_named_is_nothing_given():
    assert start(load_config("shapes"), None, None, None) == (None, {})


def test_a_folder_is_found_from_home(monkeypatch, saved):
    monkeypatch.setenv("HOME", str(saved.parent))
    model, _ = start(load_config("shapes", mask=False), f"~/{saved.name}", None, "fp16")
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_hubs_revision_and_variant_are_those_that_are_asked_for(monkeypatch):
    asked = {}

    def note(source, **options):
        asked.update(source=source, **options)
        raise UserError("enough")

    monkeypatch.setattr(module.ArtVPipeline, "from_pretrained", note)
    with pytest.raises(UserError, match="enough"):
        start(load_config("shapes"), "owner/name", "v2", "fp16")
    assert asked == {"source": "owner/name", "revision": "v2", "variant": "fp16"}
