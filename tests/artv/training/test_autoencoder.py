"""How an autoencoder's latents are scaled and its pictures measured, by NumPy."""

import numpy as np
import pytest
import torch

from artv.autoencoder import shapes_autoencoder
from artv.training.autoencoder import _scaling_factor, reconstruction_psnr


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    return shapes_autoencoder().eval()


def test_scaled_latents_have_unit_deviation(autoencoder):
    frames = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    factor = _scaling_factor(autoencoder, frames)
    with torch.no_grad():
        latents = autoencoder.encode(frames.float() / 127.5 - 1).latent_dist.mean
    assert (latents * factor).std().item() == pytest.approx(1, rel=1e-4)


def test_psnr_of_reconstructions_is_that_of_their_bytes(autoencoder):
    """10 · log10(255² / mean squared error), computed by NumPy on the range 0 … 255."""
    frames = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        decoded = autoencoder.decode(autoencoder.encode(frames.float() / 127.5 - 1).latent_dist.mode()).sample
    bytes_of = (decoded.clamp(-1, 1).numpy() + 1) * 127.5
    expected = 10 * np.log10(255**2 / np.mean((bytes_of - frames.numpy()) ** 2))
    assert reconstruction_psnr(autoencoder, frames) == pytest.approx(expected, rel=1e-4)
