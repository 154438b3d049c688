"""Group norm for training on channels-last maps: sums of every channel first, so that a compiler reads whole lines.

``nn.GroupNorm`` under autocast runs and returns float32, and a compiler turns its statistics into a reduction over a few
channels at a time. Here the maps stay in half precision, and both passes over them, with their gradients, are sums
over positions with the channels side by side. The moments are float32 sums of at most 8 significant bits each, so
E[x²] − E[x]² loses nothing that a bfloat16 map still holds.

Shape suffixes: B batch, C channels, G groups, H W positions.
"""

import torch
from torch import Tensor, nn


def group_norm(x_BCHW: Tensor, groups: int, weight_C: Tensor, bias_C: Tensor, eps: float) -> Tensor:
    """As ``torch.nn.functional.group_norm``, in the dtype of ``x``; differentiable in all three."""
    B, C, H, W = x_BCHW.shape
    x = x_BCHW.float()
    count = C // groups * H * W
    mean_BG = x.sum((2, 3)).view(B, groups, -1).sum(-1) / count
    square_BG = x.square().sum((2, 3)).view(B, groups, -1).sum(-1) / count
    rstd_BG = ((square_BG - mean_BG.square()).clamp_min(0) + eps).rsqrt()
    scale_BC = rstd_BG.repeat_interleave(C // groups, 1) * weight_C.float()
    shift_BC = bias_C.float() - mean_BG.repeat_interleave(C // groups, 1) * scale_BC
    return (x * scale_BC[:, :, None, None] + shift_BC[:, :, None, None]).to(x_BCHW.dtype)


class MomentGroupNorm(nn.GroupNorm):
    """:func:`group_norm` in the place of an ``nn.GroupNorm``, whose class is all that changes."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) to the same; autocast, which would ask for float32, is left out."""
        with torch.autocast(x_BCHW.device.type, enabled=False):
            return group_norm(x_BCHW, self.num_groups, self.weight, self.bias, self.eps)


def use_moments(module: nn.Module) -> None:
    """Turns every group norm with weights into a :class:`MomentGroupNorm`, in place."""
    for norm in module.modules():
        if type(norm) is nn.GroupNorm and norm.affine:
            norm.__class__ = MomentGroupNorm
