"""Which kernels attention is asked of; FlashAttention-3 itself needs a Hopper GPU and its package."""

import importlib.util

import pytest
import torch
import torch.nn.functional as F

from artv.errors import UserError
from artv.training.config import load_config, with_loop
from artv.training.fast.attention import attention, choose_attention, use_flash_attention_3
from artv.training.launch import launch_training, plan_training

FA3 = load_config("paper", attention_kernels="fa3")


@pytest.mark.skipif(importlib.util.find_spec("flash_attn_interface") is not None, reason="FlashAttention-3 is there")
def test_without_its_package_flash_attention_3_is_one_line():
    with pytest.raises(UserError, match=r"attention_kernels is fa3, which needs flash-attn-3 .*flash_attn_interface"):
        use_flash_attention_3()


@pytest.mark.parametrize(
    ("config", "device", "said"),
    [
        (FA3, "cpu", "runs on Hopper GPUs, and this is cpu"),
        (FA3.model_copy(update={"fused": False}), "cuda", "set fused: true"),
        (with_loop(FA3, "model", precision="fp32"), "cuda", "precision: bf16"),
    ],
)
def test_no_other_kernels_run_in_its_place(config, device, said):
    with pytest.raises(UserError, match=f"attention_kernels is fa3, .*{said}.* or leave attention_kernels: auto$"):
        choose_attention(config, torch.device(device))


@pytest.mark.parametrize("launch", [launch_training, plan_training])
def test_a_training_is_told_before_weights_are_loaded(launch, tmp_path):
    options = {"stages": ["model"], "revision": None} if launch is launch_training else {}
    with pytest.raises(UserError, match="attention_kernels is fa3, which runs on Hopper"):
        launch(FA3, tmp_path, components=None, init=str(tmp_path / "absent"), variant=None, device="cpu", **options)


@pytest.mark.parametrize("keys", [77, 300])
def test_attention(keys):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 8, dtype=torch.float64) for n in (40, keys, keys))
    weights = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, dim=-1)
    assert torch.allclose(attention(q, k, v), weights @ v) and torch.allclose(
        attention(q, k, v), F.scaled_dot_product_attention(q, k, v)
    )


@pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("flash_attn_interface") is None,
    reason="needs a GPU and FlashAttention-3",
)
@pytest.mark.parametrize("width", [32, 64])
def test_flash_attention_3_is_attention(width):
    torch.manual_seed(0)
    given = [torch.randn(2, 600, 3, width, device="cuda", dtype=torch.bfloat16).transpose(1, 2) for _ in range(4)]
    q, k, v = (x.requires_grad_() for x in given[:3])
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    expected = torch.softmax(exact[0] @ exact[1].transpose(-1, -2) / width**0.5, dim=-1) @ exact[2]
    use_flash_attention_3()
    try:
        assert attention(*(x.float() for x in given[:3])).dtype == torch.float32  # samples are made in it
        found = attention(q, k, v)
        gradients = torch.autograd.grad(found, (q, k, v), given[3])
    finally:
        torch.nn.attention.restore_flash_attention_impl()
    pairs = zip(gradients, torch.autograd.grad(expected, exact, given[3].double()), strict=True)
    for ours, right in ((found, expected), *pairs):
        assert (ours.double() - right).norm() < 1e-2 * right.norm()
