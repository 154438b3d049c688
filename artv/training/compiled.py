"""The blocks of a network compiled one by one for training (``torch.compile``): alike blocks share one compilation.

Norms, activations, casts and additions between two matrix products become one kernel each, in the backward pass too, and
what is cheap to compute again is not kept for it. Compiling takes a minute or two, once; the compiler's cache on disk
(``TORCHINDUCTOR_CACHE_DIR``) serves the next run.
"""

from functools import partial

import torch
from torch import nn

from artv.networks.anchor_block import AnchorBlock
from artv.training.group_norm import MomentGroupNorm, use_moments

_BLOCKS = ("ResnetBlock2D", "Transformer2DModel", "AnchorBlock", "AdapterBlock")
_VARIANTS = 256  # of block sizes, in both networks; the compiler's own limit of 8 would leave the others uncompiled


def compile_blocks(model: nn.Module) -> None:
    """Compiles the blocks and the output norm, in place; a copy of the model is as it was before."""
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _VARIANTS)
    use_moments(model)
    inside = set()
    for block in model.modules():
        if type(block).__name__ in _BLOCKS:
            block.compile(dynamic=False)
            inside.update(block.modules())
            if isinstance(block, AnchorBlock):  # a method, so it is bound anew, in a way that follows copies
                block.keys_values = partial(_compiled_keys_values(), block)  # type: ignore[method-assign]
    for norm in model.modules():
        if isinstance(norm, MomentGroupNorm) and norm not in inside:
            norm.compile(dynamic=False)


def _compiled_keys_values():
    return torch.compile(AnchorBlock.keys_values, dynamic=False)
