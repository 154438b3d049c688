"""CLIP, VideoMAE and C3D with small random weights against the libraries they come from."""

import json
from itertools import pairwise

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    BitImageProcessor,
    Dinov2Config,
    Dinov2Model,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VJEPA2Config,
    VJEPA2ForVideoClassification,
    VJEPA2VideoProcessor,
)

from artv.errors import UserError
from artv_eval.features.c3d import C3D, C3dLogits, c3d
from artv_eval.features.clip import cached, clip
from artv_eval.features.dinov2 import dinov2
from artv_eval.features.dinov3 import dinov3
from artv_eval.features.of_frames import dinov2_frames, dinov3_frames
from artv_eval.features.registry import FEATURES, feature
from artv_eval.features.videomae import videomae
from artv_eval.features.vjepa2 import vjepa2


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    """A CLIP of open_clip's own class, its name and its weight file."""
    folder = tmp_path_factory.mktemp("clip")
    config = {
        "embed_dim": 12,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    (folder / "tiny-test-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "tiny-test-clip.json")
    torch.manual_seed(0)
    network = open_clip.create_model("tiny-test-clip").eval()
    save_file(network.state_dict(), folder / "weights.safetensors")
    return network, "tiny-test-clip", str(folder / "weights.safetensors")


def smooth_pictures(n, H, W):
    g = torch.Generator().manual_seed(0)
    return F.interpolate(torch.rand(n, 3, 6, 6, generator=g) * 255, size=(H, W), mode="bicubic").clamp(0, 255).byte()


def test_clip_equals_open_clip_with_its_own_preprocessing(tiny_clip):
    network, name, weights = tiny_clip
    ours = clip(name, "openai", weights=weights)
    pictures = smooth_pictures(3, 60, 90)
    transform = open_clip.image_transform(32, is_train=False)
    theirs = torch.stack([transform(Image.fromarray(p.permute(1, 2, 0).numpy())) for p in pictures])
    with torch.no_grad():
        expected = network.encode_image(theirs, normalize=True)
        words = network.encode_text(open_clip.get_tokenizer(name)(["a red ball", "rain"]), normalize=True)
    torch.testing.assert_close(ours.images(pictures), expected, atol=5e-3, rtol=0)
    torch.testing.assert_close(ours.texts(["a red ball", "rain"]), words)
    assert ours.dim == 12 and ours.name == "clip-tiny-test-clip"


def test_clip_never_downloads(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **k: None)
    with pytest.raises(UserError, match=r"hf download timm/vit_base_patch32_clip_224\.openai"):
        clip()
    with pytest.raises(UserError, match="ViT-B-32 has openai"):
        cached("ViT-B-32", "nobody")
    with pytest.raises(UserError, match="no such model"):
        clip("ViT-Z-99")
    with pytest.raises(UserError, match="do not exist"):
        clip(weights=str(tmp_path / "none.bin"))


def test_wrong_clip_weights_are_named(tiny_clip, tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "junk.safetensors")
    with pytest.raises(UserError, match="does not hold the weights of tiny-test-clip"):
        clip(tiny_clip[1], weights=str(tmp_path / "junk.safetensors"))


@pytest.fixture(scope="module")
def tiny_videomae(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videomae")
    torch.manual_seed(0)
    config = VideoMAEConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16,
        num_frames=4, num_labels=3,
    )  # fmt: skip
    network = VideoMAEForVideoClassification(config).eval()
    network.save_pretrained(folder)
    return network, str(folder)


def test_videomae_features_are_what_the_classifier_sees(tiny_videomae):
    network, folder = tiny_videomae
    clips = smooth_pictures(8, 32, 32).unflatten(0, (2, 4))
    seen = []
    hook = network.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(clips.float() / 255)
    hook.remove()
    ours = videomae(folder)
    torch.testing.assert_close(ours(clips), seen[0], atol=1e-5, rtol=1e-5)
    assert ours.dim == 16 and ours.digest != videomae(folder, normalise=True).digest
    with pytest.raises(UserError, match="takes exactly 4"):
        ours(clips[:, :3])


def test_absent_videomae_says_how_to_fetch_it():
    with pytest.raises(UserError, match="hf download nobody/nothing"):
        videomae("nobody/nothing")


@pytest.fixture(scope="module")
def tiny_dinov2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14
    )
    network = Dinov2Model(config).eval()
    network.save_pretrained(folder)
    return network, str(folder)


@pytest.mark.parametrize("mode", ["squash", "shortest"])
def test_dinov2_is_transformers_with_its_own_processor(tiny_dinov2, mode):
    network, folder = tiny_dinov2
    pictures = smooth_pictures(3, 60, 90)
    sizes = {"squash": {"height": 28, "width": 28}, "shortest": {"shortest_edge": 28}}
    process = BitImageProcessor(size=sizes[mode], crop_size=28, resample=Image.Resampling.BICUBIC)
    process.image_mean, process.image_std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    given = process([p.permute(1, 2, 0).numpy() for p in pictures], return_tensors="pt")
    with torch.no_grad():
        expected = network(**given).pooler_output
    ours = dinov2(folder, size=28, mode=mode)
    torch.testing.assert_close(ours.images(pictures), expected, atol=5e-3, rtol=0)
    unit = dinov2(folder, size=28, mode=mode, normalise=True)
    torch.testing.assert_close(unit.images(pictures), F.normalize(ours.images(pictures), dim=-1))
    assert ours.dim == 16 and len({ours.digest, unit.digest, dinov2(folder, size=28).digest}) == (
        2 + (mode != "squash")
    )


def test_dinov2_is_never_silently_something_else(tiny_dinov2, tiny_videomae, tmp_path):
    network, _ = tiny_dinov2
    with pytest.raises(UserError, match="hf download nobody/nothing"):
        dinov2("nobody/nothing")
    with pytest.raises(UserError, match="does not hold the weights of a Dinov2Model"):
        dinov2(tiny_videomae[1])
    (tmp_path / "config.json").write_text(json.dumps(network.config.to_dict()), encoding="utf-8")
    lacking = {key: value for key, value in network.state_dict().items() if "layernorm.weight" not in key}
    save_file(lacking, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"layernorm\.weight"):
        dinov2(str(tmp_path))


def test_dinov3_and_clips_by_the_mean_of_their_frames(tiny_dinov2, tmp_path):
    torch.manual_seed(0)
    config = DINOv3ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16
    )
    network = DINOv3ViTModel(config).eval()
    network.save_pretrained(tmp_path)
    pictures = smooth_pictures(6, 60, 90)
    process = BitImageProcessor(
        size={"height": 32, "width": 32}, do_center_crop=False, resample=Image.Resampling.BICUBIC
    )
    process.image_mean, process.image_std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    with torch.no_grad():
        given = process([p.permute(1, 2, 0).numpy() for p in pictures], return_tensors="pt")
        expected = network(**given).pooler_output
    torch.testing.assert_close(dinov3(str(tmp_path), size=32).images(pictures), expected, atol=5e-3, rtol=0)
    clips = dinov3_frames(str(tmp_path), size=32)
    torch.testing.assert_close(
        clips(pictures.unflatten(0, (2, 3))), expected.unflatten(0, (2, 3)).mean(1), atol=5e-3, rtol=0
    )
    two = dinov2_frames(tiny_dinov2[1], size=28)
    assert two.name.endswith("-frames") and len({two.digest, dinov2(tiny_dinov2[1], size=28).digest, clips.digest}) == 3


def test_vjepa2_features_are_what_the_classifier_sees(tmp_path):
    torch.manual_seed(0)
    config = VJEPA2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, crop_size=32, patch_size=16,
        frames_per_clip=4, num_pooler_layers=1, pred_hidden_size=12, pred_num_attention_heads=2,
        pred_num_hidden_layers=1, num_labels=3,
    )  # fmt: skip
    network = VJEPA2ForVideoClassification(config).eval()
    network.save_pretrained(tmp_path)
    clips = smooth_pictures(8, 40, 70).unflatten(0, (2, 4))
    given = VJEPA2VideoProcessor(crop_size=32)(list(clips), return_tensors="pt")
    seen = []
    hook = network.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(**given)
        tokens = network.vjepa2(**given, skip_predictor=True).last_hidden_state
    hook.remove()
    ours, mean = vjepa2(str(tmp_path)), vjepa2(str(tmp_path), pool="mean")
    torch.testing.assert_close(ours(clips), seen[0], atol=2e-3, rtol=0)
    torch.testing.assert_close(mean(clips), tokens.mean(1), atol=2e-3, rtol=0)
    assert ours.dim == 24 and ours.digest != mean.digest and mean.name.endswith("-mean")
    torch.testing.assert_close(ours(torch.cat([clips, clips[:, :1]], 1)), ours(clips))  # half a tubelet is not seen
    with pytest.raises(UserError, match="takes at least 2"):
        ours(clips[:, :1])
    with pytest.raises(UserError, match="pool is 'max'"):
        vjepa2(str(tmp_path), pool="max")


def test_c3d_has_the_papers_size():
    with torch.device("meta"):
        network = C3D(num_classes=487)
        assert network(torch.zeros(2, 3, 16, 112, 112)).shape == (2, 487)
    widths = (3, 64, 128, 256, 256, 512, 512, 512, 512)
    convolutions = sum(27 * a * b + b for a, b in pairwise(widths))
    dense = 8192 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 487 + 487
    assert sum(p.numel() for p in network.parameters()) == convolutions + dense


def test_c3d_loads_crops_and_subtracts(tmp_path):
    torch.manual_seed(0)
    network = C3D(num_classes=5, width=2, hidden=8).eval()
    torch.save(network.state_dict(), tmp_path / "c3d.pt")
    np.save(tmp_path / "mean.npy", np.full((3, 1, 1, 1), 10.0, np.float32))
    clips = smooth_pictures(16, 128, 171)[None]
    with torch.no_grad():
        expected = network(clips.transpose(1, 2)[..., 8:120, 29:141].float() - 10)
    ours = c3d(str(tmp_path / "c3d.pt"), mean=str(tmp_path / "mean.npy"))
    torch.testing.assert_close(ours(clips), expected)
    assert ours.dim == 5 and ours.digest != c3d(str(tmp_path / "c3d.pt")).digest
    assert not torch.allclose(C3dLogits(network, "x", bgr=True)(clips), C3dLogits(network, "x")(clips))
    with pytest.raises(UserError, match="exactly 16"):
        ours(clips[:, :8])


def test_registry_names_exist_and_unknown_ones_are_explained():
    from importlib import import_module

    for target in FEATURES.values():
        module, _, name = target.partition(":")
        assert callable(getattr(import_module(module), name))
    extractor = object()
    assert feature(extractor) is extractor
    with pytest.raises(UserError, match="did you mean i3d"):
        feature("i3dd")
