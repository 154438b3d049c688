"""The first convolution where no kernel runs, against PyTorch's module on frames in [−1, 1]."""

import pytest
import torch
from torch import nn

from artv.networks.fast.kernels import convolve_frames


@pytest.mark.parametrize("channels", [16, 20])
def test_frames_are_brought_to_units_and_convolved_without_the_bias(channels):
    torch.manual_seed(0)
    frames = torch.randint(256, (2, 3, 5, 7), dtype=torch.uint8)
    layer = nn.Conv2d(3, channels, 3, padding=1).requires_grad_(False)
    found = convolve_frames(frames, layer.weight)
    expected = layer(frames / 255 * 2 - 1) - layer.bias[:, None, None]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)
