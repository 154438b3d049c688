"""Weights that others saved: which file of a folder is read, and what is said of one that does not fit."""

import json

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DModel
from safetensors.torch import save_file
from torch import nn

from artv.errors import UserError
from artv.weights import check_saved, first_mismatch, load_exactly, read_config, read_weights

STEMS = ("diffusion_pytorch_model", "model", "open_clip_model")
ONE, TWO, THREE = ({"w": torch.full((2,), float(i))} for i in (1, 2, 3))


def put(folder, **files):
    """Safetensors by name, of which ``__`` is a dot."""
    for name, tensors in files.items():
        save_file(tensors, folder / f"{name.replace('__', '.')}.safetensors")
    return folder


@pytest.mark.parametrize("stem", STEMS)
def test_a_folder_of_one_file(tmp_path, stem):
    assert read_weights(put(tmp_path, **{stem: TWO}))["w"].tolist() == [2, 2]


def test_a_file_itself(tmp_path):
    put(tmp_path, any_name=THREE)
    assert read_weights(tmp_path / "any_name.safetensors")["w"].tolist() == [3, 3]


def test_a_variant_is_read_only_when_it_is_asked_for(tmp_path):
    put(tmp_path, model=ONE, model__fp16=TWO)
    assert read_weights(tmp_path)["w"].tolist() == [1, 1]
    assert read_weights(tmp_path, "fp16")["w"].tolist() == [2, 2]


def test_diffusers_name_comes_before_the_others(tmp_path):
    put(tmp_path, model=ONE, diffusion_pytorch_model=TWO)
    assert read_weights(tmp_path)["w"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("variant", "index"),
    [
        (None, "model.safetensors.index.json"),
        ("fp16", "model.safetensors.index.fp16.json"),  # diffusers' way
        ("fp16", "model.fp16.safetensors.index.json"),  # transformers'
    ],
)
def test_shards_are_joined(tmp_path, variant, index):
    shards = {"a": "m-00001-of-00002.safetensors", "b": "m-00002-of-00002.safetensors"}
    for name, file in shards.items():
        save_file({name: torch.ones(1)}, tmp_path / file)
    save_file({"c": torch.ones(1)}, tmp_path / "m-00003-of-00002.safetensors")  # no index names it
    (tmp_path / index).write_text(json.dumps({"weight_map": shards}), encoding="utf-8")
    assert sorted(read_weights(tmp_path, variant)) == ["a", "b"]


def test_a_shard_may_not_lie_elsewhere(tmp_path):
    index = {"weight_map": {"a": "../other.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(UserError, match="no index of weights"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    ("files", "variant", "words"),
    [
        ([], None, "there: no weights"),
        (["model.bin"], None, r"there: model.bin\); convert pickled weights"),
        (["model.fp16.safetensors"], None, r"name the variant that is there: fp16 \(artv train --variant fp16\)"),
        (["model.safetensors", "model.bf16-00001-of-2.safetensors"], "fp32", "of variant 'fp32'.*is there: bf16"),
    ],
)
def test_nothing_that_can_be_read_is_told_with_what_there_is(tmp_path, files, variant, words):
    for name in files:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=words):
        read_weights(tmp_path, variant)


def test_a_pickle_is_not_opened(tmp_path):
    (tmp_path / "x.ckpt").write_bytes(b"\x80\x04.")
    with pytest.raises(UserError, match="not a safetensors file"):
        read_weights(tmp_path / "x.ckpt")


def test_a_folder_without_a_configuration(tmp_path):
    with pytest.raises(UserError, match=r"has no config\.json"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text('{"layers": 3}', encoding="utf-8")
    assert read_config(tmp_path) == {"layers": 3}


LAYER = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({}, None),
        ({"bias": None}, "bias is missing, expected with shape (2,)"),
        ({"weight": torch.zeros(3, 2)}, "weight has shape (3, 2), expected (2, 3)"),
        ({"bias": torch.zeros(2, 1)}, "bias has shape (2, 1), expected (2,)"),
        ({"scale": torch.zeros(())}, "scale with shape () is not expected"),
        ({"weight": torch.zeros(3, 2), "scale": torch.zeros(1)}, "weight has shape (3, 2), expected (2, 3)"),
    ],
)
def test_the_first_difference_is_named(changed, difference):
    state = {key: value for key, value in {**LAYER, **changed}.items() if value is not None}
    layer = nn.Linear(3, 2)
    assert first_mismatch(layer.state_dict(), state) == difference
    before = layer.weight.clone()
    if difference is None:
        load_exactly(layer, state, "the file")
        assert not layer.weight.any() and not layer.bias.any()
        return
    with pytest.raises(UserError) as caught:
        load_exactly(layer, state, "the file")
    assert str(caught.value) == f"the file is another architecture: {difference}"
    assert torch.equal(layer.weight, before), "nothing is loaded"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (8,)}
    UNet2DModel(sample_size=8, layers_per_block=1, norm_num_groups=4, **blocks).save_pretrained(folder)
    return folder


def copied(saved, folder, *, config=None, weights=None):
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (folder / name).write_bytes((saved / name).read_bytes())
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if weights is not None:
        (folder / "diffusion_pytorch_model.safetensors").write_bytes(weights)
    return folder


def test_what_diffusers_saved_is_what_its_configuration_says(saved):
    check_saved(UNet2DModel, saved)


def test_a_configuration_of_other_sizes_names_the_first_weight_that_differs(saved, tmp_path):
    config = {**read_config(saved), "block_out_channels": [12]}
    with pytest.raises(UserError, match=r"conv_in\.weight has shape \(8, 3, 3, 3\), expected \(12, 3, 3, 3\)"):
        check_saved(UNet2DModel, copied(saved, tmp_path, config=config))


@pytest.mark.parametrize("changes", [{"block_out_channels": 3}, {"down_block_types": ["NoSuchBlock"]}])
def test_a_configuration_that_makes_no_module_is_one_line(saved, tmp_path, changes):
    config = {**read_config(saved), **changes}
    with pytest.raises(UserError, match=r"config\.json is no UNet2DModel's: ") as caught:
        check_saved(UNet2DModel, copied(saved, tmp_path, config=config))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 7, 200, -1])
def test_a_file_cut_short_is_told_before_it_is_loaded(saved, tmp_path, keep):
    whole = (saved / "diffusion_pytorch_model.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"cannot be read .*; copy or save it again"):
        check_saved(UNet2DModel, copied(saved, tmp_path, weights=whole[:keep]))


def test_another_kind_of_component_is_told(saved):
    with pytest.raises(UserError):
        check_saved(AutoencoderKL, saved)
