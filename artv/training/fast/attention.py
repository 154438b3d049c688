"""Attention of the fast blocks: PyTorch's choice of kernels, or FlashAttention-3 where it was asked for.

On an H200 FlashAttention-3 takes 0.86 of cuDNN's time forward and backward for 6,400 positions in heads of 64, 0.85 in
heads of 32 (benchmarks/results/training-h200). It is a package of its own (``flash-attn-3``, Hopper only) that PyTorch
can call in place of its FlashAttention-2 (:func:`torch.nn.attention.activate_flash_attention_impl`).
"""

import torch
import torch.nn.attention as backends
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from artv.errors import UserError
from artv.training.config import TrainConfig

_NAME = "FA3"
_HOPPER = 9  # compute capability
_HALF = (torch.bfloat16, torch.float16)
_FEW_KEYS = 256
"""Below, PyTorch chooses: to the 77 tokens of a text a layer takes 0.70 ms with FlashAttention-3 and 0.77 without."""


def choose_attention(config: TrainConfig, device: torch.device) -> None:
    """The settings' kernels, for this process from now on.

    Raises:
        UserError: FlashAttention-3 is asked for where it is not installed or would not be what runs.
    """
    if config.attention_kernels == "auto":
        return
    reason = _why_not(config, device)
    if reason is not None:
        raise UserError(f"attention_kernels is fa3, {reason}, or leave attention_kernels: auto")
    use_flash_attention_3()


def _why_not(config: TrainConfig, device: torch.device) -> str | None:
    if device.type != "cuda":
        return f"which runs on Hopper GPUs, and this is {device.type}; train on one"
    if not config.fused or config.model.precision != "bf16":
        return "which the fused blocks call in bfloat16; set fused: true and, under model:, precision: bf16"
    if torch.cuda.get_device_capability(device)[0] != _HOPPER:
        return f"which runs on Hopper GPUs, and this is an {torch.cuda.get_device_name(device)}; train on one"
    return None


def use_flash_attention_3() -> None:
    """For this process.

    Raises:
        UserError: it is not installed, or this PyTorch cannot call it.
    """
    if _active() == _NAME:
        return
    try:
        backends.activate_flash_attention_impl(_NAME)
        if _active() != _NAME:
            raise RuntimeError("PyTorch does not say that it calls it")
    except (AttributeError, ImportError, ValueError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"attention_kernels is fa3, which needs flash-attn-3 for this PyTorch and CUDA ({reason}); install it, or "
            "leave attention_kernels: auto"
        ) from None


def attention(q_BHND: Tensor, k_BHMD: Tensor, v_BHMD: Tensor) -> Tensor:
    """softmax(q·kᵀ / √D)·v, (B, H, N, D). In float32, as samples are made while it trains, PyTorch chooses too."""
    few = k_BHMD.shape[2] < _FEW_KEYS
    if few or q_BHND.dtype not in _HALF or not q_BHND.is_cuda or _active() != _NAME:
        return F.scaled_dot_product_attention(q_BHND, k_BHMD, v_BHMD)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return F.scaled_dot_product_attention(q_BHND, k_BHMD, v_BHMD)


def _active() -> str | None:
    current = getattr(backends, "current_flash_attention_impl", None)  # of PyTorch 2.11 and later
    return None if current is None else current()
