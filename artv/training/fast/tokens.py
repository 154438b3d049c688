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
from artv.training.fast.sums import PROGRAMS, column_sums, finished, row_tile

_PROCESSORS = 132  # of a large GPU


def add_layer_norm(
    x_BNC: Tensor, delta_BNC: Tensor | None, held_C: Tensor | None, weight_C: Tensor, bias_C: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """The sum ``x + delta + held`` and its layer norm, for a residual stream that goes on with the sum.

    Without ``delta``, ``x`` holds the bias ``held`` already: only its gradient is found here, as the sum of all that
    flows back to ``x``.
    """
    return _AddLayerNorm.apply(x_BNC, delta_BNC, held_C, weight_C, bias_C, eps)


def feed_forward(
    h_BNC: Tensor, x_BNC: Tensor, weight_EC: Tensor, bias_E: Tensor, weight_CD: Tensor, held_C: Tensor
) -> Tensor:
    """``h`` and, of ``x``, a linear layer to E = 2·D, GEGLU, and a linear layer, whose bias ``held`` gets its gradient
    where the sum goes next.
    """
    weights = weight_EC.to(x_BNC.dtype), bias_E, weight_CD.to(x_BNC.dtype)
    return _FeedForward.apply(h_BNC, x_BNC, *weights, held_C.detach())


def linear_of_two(x_BNC: Tensor, y_BND: Tensor, weight_EF: Tensor) -> Tensor:
    """A linear layer without its bias of two tensors' channels, F = C + D of them, that lie apart."""
    own, other = weight_EF.to(x_BNC.dtype).split((x_BNC.shape[-1], y_BND.shape[-1]), dim=1)
    return F.linear(x_BNC.flatten(0, 1), own).addmm_(y_BND.flatten(0, 1), other.T).unflatten(0, x_BNC.shape[:2])


def linears(x_BNC: Tensor, *weights_DC: Tensor) -> tuple[Tensor, ...]:
    """Linear layers without biases on one input, whose gradient is summed within the products."""
    return _Linears.apply(x_BNC, *(weight.to(x_BNC.dtype) for weight in weights_DC))


def add_bias_(x_BCHW: Tensor, bias_C: Tensor, *, relu: bool = False) -> Tensor:
    """Adds a bias to a channels-last map in place, then ReLU if asked for."""
    return _Bias.apply(x_BCHW.contiguous(memory_format=torch.channels_last), bias_C, relu)


def residual(x_BNC: Tensor, delta_BNC: Tensor, bias_C: Tensor) -> Tensor:
    """``x + delta + bias``."""
    return _Residual.apply(x_BNC, delta_BNC, bias_C)


def project(
    x_BNC: Tensor, h_BNC: Tensor, weight_CC: Tensor, bias_C: Tensor, held_C: Tensor, keep_B: Tensor | None = None
) -> Tensor:
    """``x + keep · linear(h)``; ``held``: as for :func:`add_layer_norm`, a bias that ``h`` holds."""
    return _Project.apply(x_BNC, h_BNC, weight_CC.to(h_BNC.dtype), bias_C, held_C, keep_B)


class _AddLayerNorm(Function):
    @staticmethod
    def forward(ctx, x, delta, held, weight, bias, eps):
        if delta is None:
            total, y = x.view_as(x), kernels.layer_norm(x, weight, bias, eps)
        else:
            total, y = kernels.add_layer_norm(x, delta, weight, bias, eps, held, torch.empty_like(x))
        ctx.save_for_backward(x if delta is None else total, weight)
        ctx.set_materialize_grads(False)
        ctx.eps, ctx.held_dtype = eps, None if held is None else held.dtype
        return total, y

    @staticmethod
    @once_differentiable
    def backward(ctx, d_passed, dy):
        x, weight = ctx.saved_tensors
        width, count = x.shape[-1], x.numel() // x.shape[-1]
        columns = power_of_two(width)
        rows = max(1, 1024 // columns)
        at_once = 4 if columns > 1024 else 6  # programs for whose registers there is room
        programs = min(-(-count // rows), at_once * _PROCESSORS)
        dx, partial = torch.empty_like(x), x.new_empty(3, programs, width, dtype=torch.float32)
        passed = x if d_passed is None else d_passed.contiguous()
        _kernels().layer_norm_backward_kernel[(programs,)](
            *(x, dy.contiguous(), passed, weight, dx, partial, count, ctx.eps),
            **{"WIDTH": width, "ROWS": rows, "COLUMNS": columns},
            **{"PASSED": d_passed is not None, "num_warps": 2},
        )
        d_weight, d_bias, d_held = finished(partial).unbind()
        return (
            dx,
            dx if ctx.needs_input_grad[1] else None,
            None if ctx.held_dtype is None else d_held.to(ctx.held_dtype),
            d_weight.to(weight.dtype),
            d_bias.to(weight.dtype),
            None,
        )


class _FeedForward(Function):
    @staticmethod
    def forward(ctx, stream, x, weight_in, bias_in, weight_out, held):
        h = F.linear(x.flatten(0, -2), weight_in, bias_in.to(x.dtype))
        ctx.save_for_backward(x, h, weight_in, weight_out)
        ctx.bias_dtype = bias_in.dtype
        y = h.new_empty(len(h), h.shape[1] // 2)
        kernels.geglu(h, y)
        return _sum(stream, F.linear(y, weight_out), held, None)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out):
        x, h, weight_in, weight_out = ctx.saved_tensors
        rows_out = d_out.flatten(0, -2)
        dy = rows_out @ weight_out
        (count, width), dh, y = dy.shape, torch.empty_like(h), torch.empty_like(dy)
        columns = block_of(width)
        rows = max(2048 // columns, 1)
        across = -(-width // columns)
        programs = max(min(-(-count // rows), PROGRAMS // across), 1)
        partial = torch.empty(1, programs, 2 * width, dtype=torch.float32, device=h.device)
        _kernels().geglu_backward_kernel[(programs, across)](
            *(h, dy, dh, y, partial, count, width), ROWS=rows, COLUMNS=columns, num_warps=4
        )
        d_weight_in = dh.T @ x.flatten(0, -2)
        d_bias = finished(partial)[0].to(ctx.bias_dtype)
        return d_out, (dh @ weight_in).view_as(x), d_weight_in, d_bias, rows_out.T @ y, None


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


class _Bias(Function):
    @staticmethod
    def forward(ctx, x, bias, relu):
        ctx.mark_dirty(x)
        ctx.bias_dtype = bias.dtype
        ctx.save_for_backward(x if relu else None)
        count, rows, columns = row_tile(x.permute(0, 2, 3, 1))
        _kernels().bias_kernel[(-(-count // rows), -(-x.shape[1] // columns))](
            x, bias, count, x.shape[1], **{"ROWS": rows, "COLUMNS": columns, "RELU": relu, "num_warps": 4}
        )
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        (positive,) = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        dx = dy if positive is None else torch.empty_like(dy)
        dy, value, out = (None if x is None else x.permute(0, 2, 3, 1) for x in (dy, positive, dx))
        return dx, column_sums(dy, positive=value, out=out).to(ctx.bias_dtype), None


class _Residual(Function):
    @staticmethod
    def forward(ctx, x, delta, bias):
        ctx.bias_dtype = bias.dtype
        return _sum(x, delta, bias, None)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dy = dy.contiguous()
        return dy, dy, column_sums(dy).to(ctx.bias_dtype)


class _Project(Function):
    @staticmethod
    def forward(ctx, x, h, weight, bias, held, keep):
        ctx.save_for_backward(h, weight, keep)
        ctx.dtypes = bias.dtype, held.dtype
        return _sum(x, F.linear(h, weight), bias, keep)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        h, weight, keep = ctx.saved_tensors
        dy = dy.contiguous()
        kept = dy if keep is None else torch.empty_like(dy)
        d_bias = column_sums(dy, keep_B=keep, out=kept)
        d_held = d_bias @ weight.to(d_bias.dtype)  # sums of rows' products are the sum's product
        rows = kept.flatten(0, -2)
        d_bias, d_held = (d.to(dtype) for d, dtype in zip((d_bias, d_held), ctx.dtypes, strict=True))
        return dy, (rows @ weight).view_as(h), rows.T @ h.flatten(0, -2), d_bias, d_held, None


def _sum(x: Tensor, delta: Tensor, bias: Tensor, keep: Tensor | None) -> Tensor:
    """``x + keep · (delta + bias)``."""
    y, width = torch.empty_like(x), x.shape[-1]
    count, rows, columns = row_tile(x)
    _kernels().residual_kernel[(-(-count // rows), -(-width // columns))](
        *(x, delta, bias, x if keep is None else keep, y, count, count // len(x), width),
        **{"ROWS": rows, "COLUMNS": columns, "KEEP": keep is not None, "num_warps": 4},
    )
    return y


@cache
def _kernels() -> Any:
    # Triton takes long to import, and CPUs never need it
    from artv.training.fast import triton_tokens

    return triton_tokens
