"""How the mask, the copied noise and the dynamic noise make one prediction.

With z_t = a·z_0 + s·eps, copying the reference latent z_ref means predicting the noise (z_t − a·z_ref) / s. The mask
is high where the reference is copied and low where something moves (supplementary, Sec. 3 and Fig. 1):

    eps = m · (z_t − a·z_ref) / s + (1 − m) · eps_dynamic        equivalently  x0 = m · z_ref + (1 − m) · x0_dynamic

Shape suffixes: B batch, C latent channels, H W latent size.
"""

from torch import Tensor


def copied_noise(z_BCHW: Tensor, ref_BCHW: Tensor, a_B111: Tensor | float, s_B111: Tensor | float) -> Tensor:
    """The noise that, taken away from ``z``, leaves exactly the reference latent."""
    return (z_BCHW - a_B111 * ref_BCHW) / s_B111


def compose(mask_B1HW: Tensor, copied_BCHW: Tensor, dynamic_BCHW: Tensor) -> Tensor:
    """Mixes the two noises; ``mask`` in [0, 1], 1 = copy."""
    return mask_B1HW * copied_BCHW + (1 - mask_B1HW) * dynamic_BCHW
