"""Attention of the fast blocks: PyTorch's choice of kernels, or FlashAttention-3 where it was asked for.

On an H200 FlashAttention-3 takes 0.88 of cuDNN's time forward and backward for 6,400 positions in heads of 64, 0.83 in
heads of 32 (benchmarks/results/training-h200). It is a package of its own (``flash-attn-3``, Hopper only) that PyTorch
can call in place of its FlashAttention-2 (:func:`torch.nn.attention.activate_flash_attention_impl`).
"""

import torch.nn.attention as backends
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from artv.errors import UserError

_NAME = "FA3"
_FEW_KEYS = 256
"""Below, a text's 77 tokens for one, PyTorch's own choice is as fast or faster."""


def use_flash_attention_3() -> None:
    """For this process.

    Raises:
        UserError: it is not installed, or this PyTorch cannot call it.
    """
    try:
        backends.activate_flash_attention_impl(_NAME)
    except (AttributeError, ImportError, ValueError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"attention_kernels is fa3, which needs flash-attn-3 for this PyTorch and CUDA ({reason}); install it, or "
            "leave attention_kernels: auto"
        ) from None


def attention(q_BHND: Tensor, k_BHMD: Tensor, v_BHMD: Tensor) -> Tensor:
    """softmax(q·kᵀ / √D)·v, (B, H, N, D)."""
    if k_BHMD.shape[2] < _FEW_KEYS or _active() != _NAME or not q_BHND.is_cuda:
        return F.scaled_dot_product_attention(q_BHND, k_BHMD, v_BHMD)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return F.scaled_dot_product_attention(q_BHND, k_BHMD, v_BHMD)


def _active() -> str | None:
    current = getattr(backends, "current_flash_attention_impl", None)  # of PyTorch 2.11 and later
    return None if current is None else current()
