"""Operations on tokens with their gradients: what lies between two matrix products is one kernel each way.

Nothing is kept for the backward pass that a kernel computes again on its way: statistics of norms, values of GEGLU.
Weights of products are taken in the dtype that they multiply in, those of norms in their own.

Shape suffixes: B samples, N tokens a sample, M tokens in all, C D E widths, H W a map's size.
"""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from artv.networks.fast import kernels
from artv.networks.fast.kernels.launching import block_of, power_of_two

_PROGRAMS = 528  # four for each of a large GPU's processors; each leaves partial sums


def add_layer_norm(
    x_BNC: Tensor, delta_BNC: Tensor | None, shift_C: Tensor | None, weight_C: Tensor, bias_C: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """The sum ``x + delta + shift`` and its layer norm, for a residual stream that goes on with the sum."""
    return _AddLayerNorm.apply(x_BNC, delta_BNC, shift_C, weight_C, bias_C, eps)


def feed_forward(x_BNC: Tensor, weight_EC: Tensor, bias_E: Tensor, weight_CD: Tensor) -> Tensor:
    """A linear layer to E = 2·D, GEGLU, and a linear layer without its bias."""
    return _FeedForward.apply(x_BNC, weight_EC.to(x_BNC.dtype), bias_E.to(x_BNC.dtype), weight_CD.to(x_BNC.dtype))


def linears(x_BNC: Tensor, *weights_DC: Tensor) -> tuple[Tensor, ...]:
    """Linear layers without biases on one input, whose gradient is summed within the products."""
    return _Linears.apply(x_BNC, *(weight.to(x_BNC.dtype) for weight in weights_DC))


def linear(x_BNC: Tensor, weight_DC: Tensor, bias_D: Tensor) -> Tensor:
    """A linear layer with its bias."""
    return _Linear.apply(x_BNC, weight_DC.to(x_BNC.dtype), bias_D)


def add_bias_(x_BCHW: Tensor, bias_C: Tensor) -> Tensor:
    """Adds a bias to a channels-last map, in place."""
    return _Bias.apply(x_BCHW, bias_C)


def residual(x_BNC: Tensor, delta_BNC: Tensor, bias_C: Tensor, keep_B: Tensor | None = None) -> Tensor:
    """``x + keep · (delta + bias)``."""
    return _Residual.apply(x_BNC, delta_BNC, bias_C, keep_B)


class _AddLayerNorm(Function):
    @staticmethod
    def forward(ctx, x, delta, shift, weight, bias, eps):
        if delta is None:
            total, y = x.view_as(x), kernels.layer_norm(x, weight, bias, eps)
        else:
            total, y = kernels.add_layer_norm(x, delta, weight, bias, eps, shift, torch.empty_like(x))
        ctx.save_for_backward(x if delta is None else total, weight)
        ctx.set_materialize_grads(False)
        ctx.eps, ctx.shift_dtype = eps, None if shift is None else shift.dtype
        return total, y

    @staticmethod
    @once_differentiable
    def backward(ctx, d_total, dy):
        x, weight = ctx.saved_tensors
        width, count = x.shape[-1], x.numel() // x.shape[-1]
        columns = power_of_two(width)
        rows = max(1, 2048 // columns)
        programs = min(-(-count // rows), _PROGRAMS)
        dx = torch.empty_like(x)
        partial = torch.empty(3, programs, width, dtype=torch.float32, device=x.device)
        _kernels().layer_norm_backward_kernel[(programs,)](
            *(x, dy.contiguous(), x if d_total is None else d_total.contiguous(), weight, dx, partial, count, ctx.eps),
            **{"WIDTH": width, "ROWS": rows, "COLUMNS": columns, "PASSED": d_total is not None, "num_warps": 4},
        )
        d_weight, d_bias, d_shift = partial.sum(1).unbind()
        shifted = ctx.shift_dtype is not None
        return (
            dx,
            dx if ctx.needs_input_grad[1] else None,
            d_shift.to(ctx.shift_dtype) if shifted else None,
            d_weight.to(weight.dtype),
            d_bias.to(weight.dtype),
            None,
        )


class _FeedForward(Function):
    @staticmethod
    def forward(ctx, x, weight_in, bias_in, weight_out):
        h = F.linear(x.flatten(0, -2), weight_in, bias_in)
        ctx.save_for_backward(x, h, weight_in, weight_out)
        y = h.new_empty(len(h), h.shape[1] // 2)
        kernels.geglu(h, y)
        return F.linear(y, weight_out).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out):
        x, h, weight_in, weight_out = ctx.saved_tensors
        d_out = d_out.flatten(0, -2)
        dy = d_out @ weight_out
        (count, width), dh, y = dy.shape, torch.empty_like(h), torch.empty_like(dy)
        columns = block_of(width)
        rows = max(2048 // columns, 1)
        across = -(-width // columns)
        programs = max(min(-(-count // rows), _PROGRAMS // across), 1)
        partial = torch.empty(programs, 2 * width, dtype=torch.float32, device=h.device)
        _kernels().geglu_backward_kernel[(programs, across)](
            *(h, dy, dh, y, partial, count, width), ROWS=rows, COLUMNS=columns, num_warps=4
        )
        d_weight_in = dh.T @ x.flatten(0, -2)
        return (dh @ weight_in).view_as(x), d_weight_in, partial.sum(0).to(h.dtype), d_out.T @ y


class _Linears(Function):
    @staticmethod
    def forward(ctx, x, *weights):
        ctx.save_for_backward(x, *weights)
        return tuple(F.linear(x, weight) for weight in weights)

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):
        x, *weights = ctx.saved_tensors
        rows = [gradient.flatten(0, -2) for gradient in gradients]
        dx = rows[0] @ weights[0]
        for dy, weight in zip(rows[1:], weights[1:], strict=True):
            dx.addmm_(dy, weight)
        flat = x.flatten(0, -2)
        return dx.view_as(x), *(dy.T @ flat for dy in rows)


class _Linear(Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        ctx.bias_dtype = bias.dtype
        return F.linear(x, weight, bias.to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        dy = dy.contiguous()
        rows = dy.flatten(0, -2)
        return (rows @ weight).view_as(x), rows.T @ x.flatten(0, -2), _column_sums(dy).to(ctx.bias_dtype)


class _Bias(Function):
    @staticmethod
    def forward(ctx, x, bias):
        ctx.mark_dirty(x)
        ctx.bias_dtype = bias.dtype
        return x.add_(bias.to(x.dtype).view(-1, 1, 1))

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dy = dy.contiguous(memory_format=torch.channels_last)
        return dy, _column_sums(dy.permute(0, 2, 3, 1)).to(ctx.bias_dtype)


class _Residual(Function):
    @staticmethod
    def forward(ctx, x, delta, bias, keep):
        ctx.save_for_backward(keep)
        ctx.bias_dtype = bias.dtype
        y, width = torch.empty_like(x), x.shape[-1]
        count, rows, columns = _tile(x)
        _kernels().residual_kernel[(-(-count // rows), -(-width // columns))](
            *(x, delta, bias, x if keep is None else keep, y, count, x.shape[:-1].numel() // len(x), width),
            **{"ROWS": rows, "COLUMNS": columns, "KEEP": keep is not None, "num_warps": 4},
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        (keep,) = ctx.saved_tensors
        dy = dy.contiguous()
        d_delta = dy if keep is None else torch.empty_like(dy)
        return dy, d_delta, _column_sums(dy, keep, d_delta).to(ctx.bias_dtype), None


def _column_sums(x: Tensor, keep: Tensor | None = None, kept: Tensor | None = None) -> Tensor:
    """Sums over all rows, float32; of ``keep · x``, left in ``kept``, where it is given."""
    count, rows, columns = _tile(x)
    across = -(-x.shape[-1] // columns)
    programs = max(min(-(-count // rows), _PROGRAMS // across), 1)
    partial = torch.empty(programs, x.shape[-1], dtype=torch.float32, device=x.device)
    _kernels().column_sums_kernel[(programs, across)](
        *(x, x if keep is None else keep, x if kept is None else kept, partial),
        *(count, count // len(x), x.shape[-1]),
        **{"ROWS": rows, "COLUMNS": columns, "KEEP": keep is not None, "num_warps": 4},
    )
    return partial.sum(0)


def _tile(x: Tensor) -> tuple[int, int, int]:
    columns = block_of(x.shape[-1])
    return x.numel() // x.shape[-1], max(2048 // columns, 1), columns


@cache
def _kernels() -> Any:
    # Triton takes long to import, and CPUs never need it
    from artv.training.fast import triton_tokens

    return triton_tokens
