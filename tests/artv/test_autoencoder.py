"""Between bytes and floats, and the sizes of Table 3."""

import numpy as np
import pytest
import torch

from artv.autoencoder import (
    AUTOENCODERS,
    decode_latents,
    downscale,
    encode_frames,
    paper_autoencoder,
    shapes_autoencoder,
    to_uint8,
    to_unit,
)

BYTES = torch.arange(256, dtype=torch.uint8)


def test_every_byte_comes_back():
    assert torch.equal(to_uint8(to_unit(BYTES)), BYTES)
    np.testing.assert_allclose(to_unit(BYTES).numpy(), np.linspace(-1, 1, 256), atol=1e-6)


@pytest.mark.parametrize(("value", "byte"), [(-7.0, 0), (-1.0, 0), (1.0, 255), (1.5, 255), (float("inf"), 255)])
def test_what_is_out_of_range_is_cut(value, byte):
    assert to_uint8(torch.tensor([value])).tolist() == [byte]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_pictures_are_near_their_bytes(dtype):
    """A float of 8 bits of precision is off by at most one level, one of 11 by none."""
    off = (to_uint8(to_unit(BYTES).to(dtype)).int() - BYTES.int()).abs().max()
    assert off <= (0 if dtype == torch.float16 else 1)


def test_the_papers_is_table_3():
    """z 4, ch 128, mult 1-2-4-4, 2 residual blocks; SD's latents are scaled by 0.18215."""
    with torch.device("meta"):
        config = paper_autoencoder().config
    assert config.latent_channels == 4 and list(config.block_out_channels) == [128 * m for m in (1, 2, 4, 4)]
    assert config.layers_per_block == 2 and config.scaling_factor == 0.18215 and config.in_channels == 3


@pytest.mark.parametrize(("preset", "pixels"), [("paper", 8), ("shapes", 4)])
def test_pixels_of_a_latent_cell(preset, pixels):
    with torch.device("meta"):
        autoencoder = AUTOENCODERS[preset]()
        latents = autoencoder.encode(torch.zeros(1, 3, 64, 64)).latent_dist.mode()
    assert downscale(autoencoder) == pixels and latents.shape == (1, 4, 64 // pixels, 64 // pixels)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return shapes_autoencoder().eval().requires_grad_(False)


@pytest.mark.parametrize("factor", [1.0, 0.18215])
def test_latents_are_scaled_on_the_way_in_and_back_on_the_way_out(small, factor):
    small.register_to_config(scaling_factor=factor)
    frames = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    plain = small.encode(frames.float() / 127.5 - 1).latent_dist.mean
    latents = encode_frames(small, frames)
    torch.testing.assert_close(latents, plain * factor)
    expected = ((small.decode(plain).sample.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    assert (decode_latents(small, latents).int() - expected.int()).abs().max() <= 1
    assert torch.equal(encode_frames(small, frames), latents), "the mode: nothing is drawn"


def test_a_far_pixel_changes_no_latent(small):
    """Without attention a moving object leaves the latents of what is far from it alone: all but group norms' share."""
    assert not any("attentions" in name for name, _ in small.named_parameters())
