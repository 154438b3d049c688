"""Pictures, and small networks with random weights in the form of the public ones."""

import pytest
import torch
import torch.nn.functional as F
from transformers import Dinov2Config, Dinov2Model, VideoMAEConfig, VideoMAEForVideoClassification


@pytest.fixture(scope="session")
def smooth_pictures():
    def make(n, H, W):
        g = torch.Generator().manual_seed(0)
        return (
            F.interpolate(torch.rand(n, 3, 6, 6, generator=g) * 255, size=(H, W), mode="bicubic").clamp(0, 255).byte()
        )

    return make


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def tiny_dinov2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14
    )
    network = Dinov2Model(config).eval()
    network.save_pretrained(folder)
    return network, str(folder)
