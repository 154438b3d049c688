"""Loading Stable Diffusion: a tiny pipeline in the real format, and the full size without weights."""

import json

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import CLIPTextConfig, CLIPTextModel

from artv.config import ModelConfig, NetworkConfig
from artv.convert import Parts, check_unet_config, fetch, from_stable_diffusion
from artv.errors import UserError
from artv.networks import ArtVModel, Conditions
from artv.weights import read_weights
from tests.artv.test_config import SD_21_BASE

WIDTHS, HEADS, ATTENTION = (32, 64), (2, 4), (True, False)


def tiny_config():
    common = {"heads": HEADS, "attention": ATTENTION, "layers": 1, "text_dim": 32, "norm_groups": 8, "sample_size": 8}
    return ModelConfig(
        dynamic=NetworkConfig(channels=WIDTHS, out_channels=4, **common),
        mask=NetworkConfig(channels=(16, 16), out_channels=1, **common),
    )


def tiny_pipeline(prediction_type="epsilon", **unet):
    torch.manual_seed(0)
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
                          up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=4, latent_channels=4),
        text_encoder=CLIPTextModel(CLIPTextConfig(
            hidden_size=32, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, projection_dim=16,
            hidden_act="gelu")),
        tokenizer=None,
        unet=UNet2DConditionModel.from_config(tiny_config().dynamic.unet() | unet),
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                                prediction_type=prediction_type, clip_sample=False, set_alpha_to_one=False,
                                steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    return pipeline


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


@pytest.fixture(scope="module")
def folder(pipeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("sd")
    pipeline.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def parts(folder) -> Parts:
    return from_stable_diffusion(folder, config=tiny_config())


def test_every_weight_arrives(pipeline, parts):
    for ours, theirs in ((parts.model.dynamic_network.unet, pipeline.unet), (parts.autoencoder, pipeline.vae)):
        theirs = theirs.state_dict()
        assert ours.state_dict().keys() == theirs.keys()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.state_dict().items())


def test_text_encoder_equals_transformers(pipeline, parts):
    from open_clip import tokenize

    prompts = ["a red circle moves left", ""]
    with torch.no_grad():
        expected = pipeline.text_encoder(input_ids=tokenize(prompts)).last_hidden_state
    torch.testing.assert_close(parts.text_encoder.encode(prompts), expected, atol=1e-4, rtol=0)


def conditions(keep, text, B=2, hw=8):
    frames = torch.randn(B, 4, 4, hw, hw)
    return Conditions(
        refs_BKCHW=frames[:, :2],
        copy_BCHW=frames[:, 2],
        anchor_BCHW=frames[:, 3],
        keep_ref_B=torch.full((B,), keep),
        keep_anchor_B=torch.full((B,), keep),
        text_BLD=text,
    )


@torch.no_grad()
def test_untrained_artv_with_conditions_dropped_is_stable_diffusion(pipeline, parts):
    torch.manual_seed(1)
    z, text, t = torch.randn(2, 4, 8, 8), torch.randn(2, 77, 32), torch.tensor([7, 930])
    expected = pipeline.unet(z, t, encoder_hidden_states=text).sample
    assert torch.equal(parts.model(z, t, conditions(0.0, text)).eps_BCHW, expected)
    assert not torch.equal(parts.model(z, t, conditions(1.0, text)).eps_BCHW, expected)


@torch.no_grad()
def test_new_anchor_blocks_are_the_identity(pipeline, parts):
    torch.manual_seed(1)
    z, text, t = torch.randn(2, 4, 8, 8), torch.randn(2, 77, 32), torch.tensor([7, 930])
    c = conditions(0.0, text)
    with_anchor = Conditions(**{**vars(c), "keep_anchor_B": torch.ones(2)})
    expected = pipeline.unet(z, t, encoder_hidden_states=text).sample
    torch.testing.assert_close(parts.model(z, t, with_anchor).eps_BCHW, expected, atol=0, rtol=0)


def test_half_precision_variants_and_shards(pipeline, tmp_path):
    import copy

    half = copy.deepcopy(pipeline.unet).half()
    copy.deepcopy(pipeline).save_pretrained(tmp_path)
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    half.save_pretrained(tmp_path / "unet", variant="fp16")
    state = read_weights(tmp_path / "unet", "fp16")
    assert all(torch.equal(value, half.state_dict()[key]) for key, value in state.items())
    with pytest.raises(UserError, match=r"there: diffusion_pytorch_model\.fp16\.safetensors"):
        read_weights(tmp_path / "unet")
    pipeline.unet.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    sharded = read_weights(tmp_path / "sharded")
    assert all(torch.equal(value, sharded[key]) for key, value in pipeline.unet.state_dict().items())


def test_dtype(folder):
    parts = from_stable_diffusion(folder, config=tiny_config(), dtype=torch.bfloat16)
    assert {p.dtype for part in parts for p in part.parameters()} == {torch.bfloat16}


def other_schedule():
    pipeline = tiny_pipeline()
    pipeline.scheduler = DDIMScheduler()
    return pipeline


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tiny_pipeline("v_prediction"), "v_prediction model; ART-V predicts epsilon.*2-1-base"),
        (other_schedule, "trained with beta_start 0.0001; ART-V expects 0.00085"),
        (
            lambda: tiny_pipeline(block_out_channels=[16, 64]),
            r"conv_in\.weight has shape \(16, 4, 3, 3\), expected \(32, 4, 3, 3\)",
        ),
        # all shapes agree
        (lambda: tiny_pipeline(attention_head_dim=[4, 4]), r"attention_head_dim is \[4, 4\], expected \[2, 4\]"),
    ],
    ids=["v prediction", "another schedule", "another width", "another number of heads"],
)
def test_another_model_is_refused_in_one_line(tmp_path, make, message):
    make().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        from_stable_diffusion(tmp_path, config=tiny_config())
    assert "\n" not in str(error.value)


def test_pickled_weights_are_refused(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    torch.save(pipeline.unet.state_dict(), tmp_path / "unet" / "diffusion_pytorch_model.bin")
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no safetensors weights.*model\.bin"):
        from_stable_diffusion(tmp_path, config=tiny_config())


def test_nothing_there(tmp_path):
    for source in (tmp_path / "absent", "./absent", "justaname"):
        with pytest.raises(UserError, match="is not a folder; give a diffusers folder or a repository id"):
            fetch(source)
    with pytest.raises(UserError, match="scheduler_config"):
        from_stable_diffusion(tmp_path)


def test_hub_sources_ask_for_safetensors_only_and_fail_in_one_line(monkeypatch, tmp_path):
    asked = {}

    def download(repository, **kw):
        asked.update(kw, repository=repository)
        if repository.startswith("gone"):
            raise LocalEntryNotFoundError("cannot reach the hub\nmany lines follow")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert fetch("some/model", revision="abc", variant="fp16") == tmp_path
    assert asked["repository"] == "some/model" and asked["revision"] == "abc"
    assert all("safetensors" in p or p.endswith(".json") for p in asked["allow_patterns"])
    with pytest.raises(UserError, match=r"could not load gone/model.*cannot reach the hub\); give a local folder") as e:
        fetch("gone/model")
    assert "\n" not in str(e.value)


SD_21_BASE_UNET = SD_21_BASE | {
    "_class_name": "UNet2DConditionModel",
    "_diffusers_version": "0.10.0.dev0",
    "dual_cross_attention": False,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "upcast_attention": False,
}
"""The whole file, with what diffusers added as defaults later."""


def millions(module):
    return sum(p.numel() for p in module.parameters()) / 1e6


def test_full_size_from_configuration_alone():
    with torch.device("meta"):
        model = ArtVModel.from_config(preset="paper")
        published = UNet2DConditionModel.from_config(SD_21_BASE_UNET)
    check_unet_config(model, json.loads(json.dumps(SD_21_BASE_UNET)), "SD-2.1-base")
    shapes = {key: value.shape for key, value in published.state_dict().items()}
    assert {key: value.shape for key, value in model.dynamic_network.unet.state_dict().items()} == shapes
    assert sum(p.numel() for p in model.dynamic_network.unet.parameters()) == 865_910_724


def test_parameters_of_table_1():
    with torch.device("meta"):
        model = ArtVModel.from_config(preset="paper")
    assert sum(p.numel() for p in model.dynamic_network.adapter.parameters()) == 76_839_360
    assert sum(p.numel() for p in model.mask_network.adapter.parameters()) == 3_079_872
    assert abs(millions(model.dynamic_network) / 1167.69 - 1) < 0.002
    assert abs(millions(model.mask_network) / 51.18 - 1) < 0.01
