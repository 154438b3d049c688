"""The first convolution of an encoder, from frames as they are stored.

Shape suffixes: N frames, C channels, H W pixels.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from artv.autoencoder import to_unit
from artv.networks.fast.kernels.launching import HALF, launch_options, power_of_two, runs_on

_WIDEST = 256  # channels that one program makes


def convolve_frames(frames_N3HW: Tensor, weight_C333: Tensor) -> Tensor:
    """The 3 × 3 convolution, without a bias, of uint8 frames brought to [−1, 1] and padded with zeros: channels-last
    maps (N, C, H, W) of the weight's type. In half precision one kernel; cuDNN, made for more channels, takes thrice
    as long.
    """
    C = len(weight_C333)
    whole = power_of_two(C) == C and 16 <= C <= _WIDEST and weight_C333.shape[1:] == (3, 3, 3)
    if runs_on(frames_N3HW) and weight_C333.dtype in HALF and whole:
        return _launch_convolve_frames(frames_N3HW.contiguous(), weight_C333)
    x_N3HW = to_unit(frames_N3HW).to(weight_C333.dtype, memory_format=torch.channels_last)
    return torch.conv2d(x_N3HW, weight_C333, None, padding=1)


def _launch_convolve_frames(frames: Tensor, weight: Tensor) -> Tensor:
    (N, _, H, W), C = frames.shape, len(weight)
    y = torch.empty((N, C, H, W), dtype=weight.dtype, device=frames.device, memory_format=torch.channels_last)
    matrix = weight.permute(0, 2, 3, 1).flatten(1)  # of a channels-last weight the same memory
    rows = min(max(power_of_two(W), 16), 64)
    _kernels().convolve_frames_kernel[(-(-W // rows), H, N)](
        frames, matrix, y, H, W, ROWS=rows, COLUMNS=C, **launch_options(), num_warps=4
    )
    return y


@cache
def _kernels() -> Any:
    """Imported on first use: Triton takes long to import, and CPUs never need it."""
    from artv.networks.fast.kernels import triton_frames

    return triton_frames
