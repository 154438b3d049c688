"""Operations on tokens: layer norm with the sum ahead of it, GEGLU with the product ahead of it, small attention.

Shape suffixes: B batch, N tokens, M tokens of all samples or keys, C D E widths, H heads.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from artv.networks.fast.kernels.launching import HALF, INTERPRETED, block_of, launch_options, power_of_two, runs_on

_LONGEST_ATTENTION = 2048  # tokens; beyond it cuDNN's kernel is the faster one (H100: 417 against 470 TFLOP/s at 9,216)
_NARROW_HEAD = 32  # up to this width, which cuDNN is not made for, attention is ours at any length
_NARROW_LAYER = 640  # inputs; a wider layer's product alone is faster in cuBLAS
_WIDEST_HEAD = 256  # of PyTorch's fast kernels; of 512 channels two products and a softmax take 0.4 of its slow one
_SCORES = 2**27  # of these at once, in float32 (512 MiB)
_FEW_QUERIES = 2**16  # of all heads, where keys are the text's: with more cuDNN's start-up no longer counts

_LOG2_E = 1.4426950408889634  # the kernels' powers are of two


def add_layer_norm(
    x_BND: Tensor,
    delta_BND: Tensor,
    weight_D: Tensor,
    bias_D: Tensor,
    eps: float,
    shift_D: Tensor | None = None,
    out_BND: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``x + delta + shift`` and its layer norm; statistics in float32. The sum goes to ``out`` (default: to ``x``),
    whose rows may be part of longer ones.
    """
    out_BND = x_BND if out_BND is None else out_BND
    if _fuses_rows(x_BND) and delta_BND.is_contiguous():
        return out_BND, _launch_layer_norm(x_BND, weight_D, bias_D, eps, delta_BND, shift_D, out_BND)
    torch.add(x_BND, delta_BND if shift_D is None else delta_BND + shift_D, out=out_BND)
    return out_BND, torch.layer_norm(out_BND, weight_D.shape, weight_D, bias_D, eps)


def layer_norm(x_BND: Tensor, weight_D: Tensor, bias_D: Tensor, eps: float, shift_D: Tensor | None = None) -> Tensor:
    """Layer norm of ``x + shift`` over the last axis; statistics in float32."""
    if _fuses_rows(x_BND):
        return _launch_layer_norm(x_BND, weight_D, bias_D, eps, None, shift_D)
    x_BND = x_BND if shift_D is None else x_BND + shift_D
    return torch.layer_norm(x_BND, weight_D.shape, weight_D, bias_D, eps)


def geglu(x_ME: Tensor, out_MD: Tensor) -> None:
    """Into ``out``: the first half of the last axis (2·D) times the GELU of the second."""
    if _fuses_rows(x_ME):
        return _launch_geglu(x_ME, out_MD)
    value, gate = x_ME.chunk(2, dim=-1)
    torch.mul(value, F.gelu(gate), out=out_MD)


def linear_geglu(x_MC: Tensor, weight_EC: Tensor, bias_E: Tensor, out_MD: Tensor) -> None:
    """:func:`geglu` of a linear layer. One kernel where that is faster than a product and another.

    ``out``: its rows may be part of longer ones.
    """
    if _multiplies(x_MC, weight_EC):
        return _launch_linear_geglu(x_MC, weight_EC, bias_E, out_MD)
    geglu(F.linear(x_MC, weight_EC, bias_E), out_MD)


def attention(q_BHND: Tensor, k_BHMD: Tensor, v_BHMD: Tensor) -> Tensor:
    """Softmax attention over the keys, without a mask; (B, N, heads · D), where H counts heads here."""
    B, heads, N, D = q_BHND.shape
    if _attends(q_BHND, k_BHMD, v_BHMD):
        return _launch_attention(q_BHND, k_BHMD, v_BHMD)
    if _is_wide(q_BHND, k_BHMD):
        return _attention_by_products(q_BHND, k_BHMD, v_BHMD)
    return F.scaled_dot_product_attention(q_BHND, k_BHMD, v_BHMD).transpose(1, 2).reshape(B, N, heads * D)


def _fuses_rows(x: Tensor) -> bool:
    return runs_on(x) and x.is_contiguous()


def _attends(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Half precision only: float32 products would be rounded to TF32. Heads of a power of two that tiles hold."""
    width, half = q.shape[-1], q.dtype in HALF
    whole = width in (16, 32, 64, 128) and all(x.stride(-1) == 1 for x in (q, k, v))
    few = q.shape[2] == k.shape[2] or q.shape[:3].numel() <= _FEW_QUERIES
    short = max(q.shape[2], k.shape[2]) <= _LONGEST_ATTENTION or width <= _NARROW_HEAD
    return runs_on(q) and (half or INTERPRETED) and whole and short and few


def _is_wide(q: Tensor, k: Tensor) -> bool:
    """Heads too wide for the tiles of kernels that are made for half precision, of tokens that are not too many."""
    few = q.shape[2] * k.shape[2] <= _SCORES
    return runs_on(q) and q.is_cuda and q.dtype in HALF and q.shape[-1] > _WIDEST_HEAD and few


def _multiplies(x: Tensor, weight: Tensor) -> bool:
    """Half precision on Hopper and later, for whole tiles and layers of a width that pays."""
    half, C = x.dtype in HALF, x.shape[-1]
    whole = C % 64 == 0 and weight.shape[0] % 128 == 0 and x.is_contiguous() and weight.is_contiguous()
    return runs_on(x) and half and whole and C <= _NARROW_LAYER and _has_tensor_memory_unit(x.device)


@cache
def _has_tensor_memory_unit(device: torch.device) -> bool:
    known = find_spec("triton.tools.tensor_descriptor") is not None  # Triton 3.4
    return known and (INTERPRETED or torch.cuda.get_device_capability(device) >= (9, 0))


def _launch_layer_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    delta: Tensor | None,
    shift: Tensor | None,
    out: Tensor | None = None,
) -> Tensor:
    D = x.shape[-1]
    columns = power_of_two(D)
    rows = max(1, 2048 // columns)
    count = x.numel() // D
    y = torch.empty_like(x)
    _kernels().layer_norm_kernel[(-(-count // rows),)](
        *(x, x if delta is None else delta, y, weight, bias, x if shift is None else shift),
        *(x if out is None else out, D if out is None else out.stride(-2), count, eps),
        WIDTH=D,
        ROWS=rows,
        COLUMNS=columns,
        ADD=delta is not None,
        SHIFTED=shift is not None,
        **launch_options(),
        num_warps=4,
    )
    return y


def _launch_linear_geglu(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> None:
    from triton.tools.tensor_descriptor import TensorDescriptor

    count, C = x.shape
    D = weight.shape[0] // 2
    rows, columns, depth = 128, 64, 64
    _kernels().linear_geglu_kernel[(-(-count // rows) * (D // columns),)](
        TensorDescriptor.from_tensor(x, [rows, depth]),
        TensorDescriptor.from_tensor(weight, [columns, depth]),
        bias,
        TensorDescriptor.from_tensor(out, [rows, columns]),
        *(count, D),
        **{"K": C, "ROWS": rows, "COLUMNS": columns, "DEPTH": depth},
        **launch_options(),
        num_warps=4,
        num_stages=3,
    )


def _launch_geglu(x: Tensor, out: Tensor) -> None:
    count, D = x.shape[0], x.shape[1] // 2
    columns = block_of(D)
    rows = max(2048 // columns, 1)
    _kernels().geglu_kernel[(-(-count // rows), -(-D // columns))](
        x, out, out.stride(0), count, D, ROWS=rows, COLUMNS=columns, **launch_options(), num_warps=4
    )


def _launch_softmax(x: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    y, count = torch.empty_like(x, dtype=dtype), x.shape[-1]
    columns = power_of_two(count)
    _kernels().softmax_kernel[(x.numel() // count,)](
        *(x, y, count, scale * _LOG2_E), COLUMNS=columns, **launch_options(), num_warps=16 if columns > 4096 else 4
    )
    return y


def _launch_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    B, heads, N, D = q.shape
    keys = k.shape[2]
    columns = 128 if 64 < keys <= 128 else 64
    out = q.new_empty(B, N, heads * D)
    _kernels().attention_kernel[(-(-N // 64), B * heads)](
        *(q, k, v, out, *(step for x in (q, k, v) for step in x.stride()[:3])),
        *(heads, N, keys, D**-0.5 * _LOG2_E),
        WIDTH=D,
        ROWS=64,
        COLUMNS=columns,
        EVEN=keys % columns == 0,
        **launch_options(),
        num_warps=4,
        num_stages=3 if columns == 64 else 2,
    )
    return out


def _attention_by_products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scores and softmax in float32, of as many heads at once as memory is for."""
    B, heads, N, D = q.shape
    out = q.new_empty(B * heads, N, D)
    parts = (x.split(max(_SCORES // (N * k.shape[2]), 1)) for x in (*(y.flatten(0, 1) for y in (q, k, v)), out))
    for some_q, some_k, some_v, some_out in zip(*parts, strict=True):
        scores = torch.bmm(some_q, some_k.mT, out_dtype=torch.float32)
        torch.bmm(_launch_softmax(scores, D**-0.5, q.dtype), some_v, out=some_out)
    return out.view(B, heads, N, D).transpose(1, 2).reshape(B, N, heads * D)


@cache
def _kernels() -> Any:
    """Imported on first use: Triton takes long to import, and CPUs never need it."""
    from artv.networks.fast.kernels import triton_tokens

    return triton_tokens
