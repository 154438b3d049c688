"""DINOv2 against transformers with its own processor."""

import json

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from transformers import BitImageProcessor

from artv.errors import UserError
from artv_eval.features.dinov2 import dinov2


@pytest.mark.parametrize("mode", ["squash", "shortest"])
def test_dinov2_is_transformers_with_its_own_processor(tiny_dinov2, mode, smooth_pictures):
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
