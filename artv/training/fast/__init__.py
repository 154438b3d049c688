"""Fused operations with gradients (Triton), and the networks' blocks over them, with the same weights.

PyTorch's autocast runs norms in float32 and converts what goes in and out; its group norm knows no channels-last; each
bias, activation and sum is a pass over memory of its own, forward and backward.
"""

from artv.training.fast.blocks import use_fast_blocks

__all__ = ["use_fast_blocks"]
