"""Names of packaged weights, folders of components, and what is no checkpoint, told before anything is loaded."""

import json
from types import SimpleNamespace

import pytest
import torch

from artv import presets
from artv.config import paper, shapes
from artv.errors import UserError
from artv.presets import (
    DEFAULTS,
    check_components,
    check_has_mask,
    check_source,
    defaults_for,
    is_packaged,
    load_components,
    long_seeds,
    packaged,
)


@pytest.fixture
def assets(tmp_path, monkeypatch):
    """An installation that has these weights alone."""
    names = ["model", "model_no_mask", "model_long_3", "model_long_3_no_mask", "model_long_12", "model_long_x"]
    names += ["model_long_x_no_mask", "model_long_5_no_mask"]
    for name in names:
        (tmp_path / name).mkdir()
        mask = None if name.endswith("no_mask") else {}
        (tmp_path / name / "config.json").write_text(json.dumps({"mask": mask}), encoding="utf-8")
    (tmp_path / "model_broken").mkdir()  # without a configuration
    monkeypatch.setattr(presets, "ASSETS", tmp_path)
    return tmp_path


def test_names_are_those_of_the_folders(assets):
    assert packaged() == [
        "shapes", "shapes:long-12", "shapes:long-3", "shapes:long-3-no-mask", "shapes:long-5-no-mask", "shapes:long-x",
        "shapes:long-x-no-mask", "shapes:no-mask",
    ]  # fmt: skip


def test_seeds_are_those_of_whole_pairs(assets):
    assert long_seeds() == [3]
    (assets / "model_long_12_no_mask").mkdir()
    (assets / "model_long_12_no_mask" / "config.json").write_text("{}", encoding="utf-8")
    assert long_seeds() == [3, 12], "by number, not by text"


def test_what_the_package_holds_can_be_asked_for():
    for name in packaged():
        assert is_packaged(name)
        check_source(name)
    assert {"shapes", "shapes:no-mask"} <= set(packaged())


@pytest.mark.parametrize("name", ["shapes", "shapes:no-mask", "shapes:anything"])
def test_a_folder_of_that_name_is_meant_where_there_is_one(name, tmp_path, monkeypatch):
    assert is_packaged(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert not is_packaged(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shapes:no-maks", "packaged weights 'shapes:no-maks' do not exist; did you mean shapes:no-mask"),
        ("shapes:long", "do not exist; did you mean"),
        ("shape", "'shape' is no folder, no hub id"),
        ("./nowhere", "is no folder, no hub id"),
        ("/nowhere/at-all", "is no folder, no hub id"),
        ("a/b/c", "is no folder, no hub id"),
    ],
)
def test_names_of_nothing(name, words):
    with pytest.raises(UserError, match=words):
        check_source(name)


def test_a_hub_id_is_left_to_the_hub():
    check_source("owner/name")


def test_folders_that_are_no_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"holds no model_index\.json"):
        check_source(str(tmp_path))
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "model_index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=f"is a training run; give the pipeline in it: {tmp_path / 'pipeline'}"):
        check_source(str(tmp_path))
    check_source(str(tmp_path / "pipeline"))
    (tmp_path / "pipeline" / "model_index.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match=r"model_index\.json holds a list"):
        check_source(str(tmp_path / "pipeline"))


@pytest.mark.parametrize(("mask", "has"), [({"channels": [8]}, True), (None, False)])
def test_masks_are_kept_only_of_what_has_them(tmp_path, mask, has):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"mask": mask}), encoding="utf-8")
    if has:
        check_has_mask(str(tmp_path))
    else:
        with pytest.raises(UserError, match=r"--save-masks: .* has no mask network"):
            check_has_mask(str(tmp_path))


def test_masks_of_packaged_weights(assets):
    check_has_mask("shapes")
    check_has_mask("shapes:long-3")
    check_has_mask("owner/name")  # seen when it is loaded
    for name in ("shapes:no-mask", "shapes:long-3-no-mask"):
        with pytest.raises(UserError, match="has no mask network"):
            check_has_mask(name)


@pytest.mark.parametrize("missing", ["autoencoder", "text_encoder"])
def test_a_component_that_is_missing_is_named(tmp_path, missing):
    for name in {"autoencoder", "text_encoder"} - {missing}:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=f"{missing} is missing; give a folder that holds it, or shapes"):
        check_components(str(tmp_path))
    with pytest.raises(UserError, match=f"{missing} is missing"):
        load_components(str(tmp_path))


def test_packaged_components_are_float32_and_fit_the_shapes_model():
    found = load_components("shapes")
    assert {p.dtype for part in found.values() for p in part.parameters()} == {torch.float32}
    sizes = shapes().dynamic
    with torch.no_grad():
        latents = found["autoencoder"].encode(torch.zeros(1, 3, 64, 64)).latent_dist.mode()
        text = found["text_encoder"].encode(["a red circle moves left"])
    assert latents.shape == (1, sizes.in_channels, sizes.sample_size, sizes.sample_size)
    assert text.shape[-1] == sizes.text_dim


@pytest.mark.parametrize(("sizes", "preset"), [(paper(), "paper"), (shapes(), "shapes")])
def test_defaults_go_by_the_models_size(sizes, preset):
    assert defaults_for(SimpleNamespace(sizes=sizes)) is DEFAULTS[preset]


def test_the_papers_defaults_are_the_papers():
    """Supplementary: DPM++ 2S ancestral with 50 steps, scales 0.25, 0.25 and 6.5, 8 frames a second, 320 pixels."""
    defaults = DEFAULTS["paper"]
    guidance = defaults.guidance
    assert (defaults.steps, defaults.size, defaults.fps) == (50, 320, 8.0)
    assert (guidance.ref, guidance.anchor, guidance.text) == (0.25, 0.25, 6.5)
