"""Fused operations that PyTorch runs as several: norms with what comes before and after them, GEGLU, small attention.

On CUDA they are Triton kernels; elsewhere, and with ``launching.ENABLED`` off, PyTorch's own operations. PyTorch's CUDA
group norm knows no channels-last: it copies the map to another layout, and the next convolution copies it back. Its
convolutions add their bias in a pass of its own, and its attention has a start-up that small maps feel.
"""

from artv.networks.fast.kernels.frames import convolve_frames
from artv.networks.fast.kernels.maps import (
    Moments,
    Shift,
    add_bias,
    add_measured,
    add_padded,
    add_shifted,
    fuses,
    group_norm,
    norm_patches,
    patches,
    patches_product,
    upsample,
)
from artv.networks.fast.kernels.tokens import add_layer_norm, attention, geglu, layer_norm, linear_geglu

__all__ = [
    "Moments",
    "Shift",
    "add_bias",
    "add_layer_norm",
    "add_measured",
    "add_padded",
    "add_shifted",
    "attention",
    "convolve_frames",
    "fuses",
    "geglu",
    "group_norm",
    "layer_norm",
    "linear_geglu",
    "norm_patches",
    "patches",
    "patches_product",
    "upsample",
]
