"""DreamSim by its package's interface; the package and its weights are nobody's to ship."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from artv.errors import UserError
from artv_eval.features.dreamsim import dreamsim
from artv_eval.metrics.curve_factories import curve


class Embedder:
    """Means of quarters, brought to unit length: like a ``PerceptualModel``, which squeezes a single picture."""

    def embed(self, x):
        found = torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)
        return (found / found.norm(dim=1, keepdim=True).clamp(min=1e-9)).squeeze()


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """A package of its interface, and a folder with the files of one kind."""
    asked = []
    package = SimpleNamespace(
        dreamsim=lambda **given: asked.append(given) or (Embedder(), None), __spec__=SimpleNamespace(name="dreamsim")
    )
    monkeypatch.setitem(sys.modules, "dreamsim", package)
    (tmp_path / "dinov2_vitb14_single_lora").mkdir()
    for file in ("dinov2_vitb14_pretrain.pth", "dinov2_vitb14_single_lora/adapter_model.safetensors"):
        (tmp_path / file).write_bytes(file.encode())
    return tmp_path, asked


def test_pictures_are_those_of_its_own_transform(installed):
    folder, asked = installed
    features = dreamsim("dinov2_vitb14", str(folder))
    assert asked == [{"pretrained": True, "device": "cpu", "cache_dir": str(folder), "dreamsim_type": "dinov2_vitb14"}]
    pictures = np.random.default_rng(0).integers(0, 256, (3, 90, 130, 3)).astype(np.uint8)
    own = transforms.Compose(
        [transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC), transforms.ToTensor()]
    )
    expected = Embedder().embed(torch.stack([own(Image.fromarray(picture)) for picture in pictures]))
    found = features.images(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    assert features.dim == 12 and features.name == "dreamsim-dinov2_vitb14"
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    assert torch.equal(features.images(torch.from_numpy(pictures[:1]).permute(0, 3, 1, 2)), found[:1])


def test_the_digest_is_of_the_files(installed):
    folder, _ = installed
    before = dreamsim("dinov2_vitb14", str(folder)).digest
    assert dreamsim("dinov2_vitb14", str(folder)).digest == before
    (folder / "dinov2_vitb14_pretrain.pth").write_bytes(b"another")
    assert dreamsim("dinov2_vitb14", str(folder)).digest != before


def test_what_is_missing_is_said_and_nothing_takes_its_place(installed, monkeypatch):
    folder, asked = installed
    with pytest.raises(UserError, match=r"DreamSim's ensemble are not in .*dino_vitb16_pretrain.pth.*https://github"):
        dreamsim(weights=str(folder))
    with pytest.raises(UserError, match=r"dreamsim\.kind is 'ensembel'; .*ensemble"):
        dreamsim("ensembel", str(folder))
    monkeypatch.setitem(sys.modules, "dreamsim", None)
    with pytest.raises(UserError, match="needs the package dreamsim, which is not installed: uv pip install dreamsim"):
        curve("consistency", feature="dreamsim")
    assert asked == []
