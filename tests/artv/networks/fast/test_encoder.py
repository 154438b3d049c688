"""The encoder for many frames against diffusers' own, with the same weights."""

import pytest
import torch
from diffusers import AutoencoderKL

from artv.autoencoder import encode_frames
from artv.networks.fast import encoder as encoder_module
from artv.networks.fast.encoder import PRECISIONS, InferenceEncoder


def autoencoder(attention=True, quant=True):
    """A small one in float64; norms and biases that would hide a mistake are drawn too."""
    torch.manual_seed(0)
    small = AutoencoderKL(
        block_out_channels=(16, 32, 32), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, latent_channels=4, layers_per_block=2, norm_num_groups=8,
        scaling_factor=0.3, mid_block_add_attention=attention, use_quant_conv=quant,
    )  # fmt: skip
    for parameter in small.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return small.eval().requires_grad_(False)


def frames(count=5, height=24, width=32):
    return torch.randint(256, (count, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("attention", "quant"), [(True, True), (False, True), (True, False)])
def test_latents_are_diffusers(attention, quant):
    small = autoencoder(attention, quant)
    torch.testing.assert_close(InferenceEncoder(small)(frames()), encode_frames(small, frames()), rtol=1e-4, atol=1e-5)


def test_frames_are_encoded_some_at_a_time(monkeypatch):
    encoder = InferenceEncoder(autoencoder())
    whole, at_once, encoded = encoder(frames()), [], encoder._encoded
    monkeypatch.setattr(encoder_module, "_PIXELS", 2 * 24 * 32 + 5)
    monkeypatch.setattr(encoder, "_encoded", lambda some: at_once.append(len(some)) or encoded(some))
    torch.testing.assert_close(encoder(frames()), whole)
    assert at_once == [2, 2, 1]


@pytest.mark.parametrize(("name", "digits"), [("fp16", 2**-10), ("bf16", 2**-7)])
def test_half_precision_is_off_by_its_own_digits(name, digits):
    """A unit in the last place of both; errors of some twenty layers add up as a walk does."""
    small = autoencoder()
    exact = encode_frames(small, frames())
    error = (InferenceEncoder(small, PRECISIONS[name])(frames()) - exact).std() / exact.std()
    assert digits / 16 < error < 4 * digits


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("name", "most"), [("fp32", 4 * 2**-10), ("fp16", 4 * 2**-10), ("bf16", 4 * 2**-7)])
def test_fused_kernels_give_the_same(name, most):
    """cuDNN's float32 convolutions multiply TF32 numbers, which have the digits of float16."""
    small = autoencoder()
    exact = encode_frames(small, frames())
    got = InferenceEncoder(small.cuda(), PRECISIONS[name])(frames().cuda()).cpu()
    assert (got - exact).std() / exact.std() < most
