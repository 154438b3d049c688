"""What every kernel begins with."""

import triton
import triton.language as tl

from artv.networks.fast.kernels.launching import overlaps

if overlaps():

    @triton.jit
    def wait_for_previous():
        """The kernel before, whose end this one's launch may precede. Memory must be left alone until then."""
        tl.extra.cuda.gdc_wait()

else:  # a branch inside the kernel would not do: Triton looks up what is in it

    @triton.jit
    def wait_for_previous():
        """Nothing to wait for."""
        pass
