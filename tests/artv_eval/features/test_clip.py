"""CLIP against open_clip with its own preprocessing; without weights it says what to fetch."""

import json

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from artv.errors import UserError
from artv_eval.features.clip import cached, clip


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


def test_clip_equals_open_clip_with_its_own_preprocessing(tiny_clip, smooth_pictures):
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
