"""What every kernel begins with."""

import triton
import triton.language as tl

from artv.networks.kernels.launching import overlaps

_OVERLAPS = tl.constexpr(overlaps())


@triton.jit
def wait_for_previous():
    """The kernel before, whose end this one's launch may precede (:func:`~artv.networks.kernels.launching.overlaps`).

    Whatever reads or writes memory must come after it.
    """
    if _OVERLAPS:
        tl.extra.cuda.gdc_wait()
