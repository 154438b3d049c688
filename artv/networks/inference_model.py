"""Stands in for the model while sampling: the same results, faster, with what does not change computed once.

Shape suffixes: B rows, C latent channels, H W latent size, L text tokens, D text width.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from artv.composition import compose, copied_noise
from artv.networks.conditional_unet import KeysValues
from artv.networks.inference import Frozen, InferenceNetwork
from artv.networks.model import ArtVModel, Encoded, Prediction

_REMEMBERED = 4  # sets of guidance branches within one frame


class _Inputs(NamedTuple):
    """What one network takes beside the latent and the timestep."""

    text: list[KeysValues]
    features: Frozen


class InferenceModel:
    """An :class:`ArtVModel` that is only sampled from, with its ``encode``, ``predict_at``, ``schedule`` and ``sizes``.

    Where gradients are wanted, or a UNet has other parts than SD-2.1's, the model itself is called.
    """

    def __init__(self, model: ArtVModel) -> None:
        self.model = model
        self.schedule, self.sizes, self.encode = model.schedule, model.sizes, model.encode
        self.device, self.dtype = model.device, model.dtype  # asking diffusers each time takes milliseconds
        networks = [n for n in (model.dynamic_network, model.mask_network) if n is not None]
        self.networks = [InferenceNetwork(n) for n in networks] if all(map(InferenceNetwork.fits, networks)) else []
        self._weights = _fingerprint(model)
        self._times: dict[int, list[list[Tensor]]] = {}
        self._inputs: list[tuple[Tensor, Encoded, list[_Inputs]]] = []

    def stands_for(self, model: ArtVModel) -> bool:
        """Whether it was made from ``model`` with the weights, device and dtype that ``model`` has now."""
        return self.model is model and self._weights == _fingerprint(model)

    def predict_at(
        self, z_BCHW: Tensor, t: int, text_BLD: Tensor, encoded: Encoded, *, use_mask: bool = True
    ) -> Prediction:
        """As :meth:`ArtVModel.predict_at`."""
        if not self.networks or torch.is_grad_enabled():
            return self.model.predict_at(z_BCHW, t, text_BLD, encoded, use_mask=use_mask)
        times, inputs = self._time(t), self._frame(text_BLD, encoded)
        z_in = z_BCHW.to(self.dtype)
        if len(self.networks) == 1 or not use_mask:
            return Prediction(self.networks[0](z_in, times[0], *inputs[0]).to(z_BCHW.dtype), None)
        with self.model._beside(z_in.device):
            logits = self.networks[1](z_in, times[1], *inputs[1])
        dynamic = self.networks[0](z_in, times[0], *inputs[0])
        self.model._join(logits)
        mask = logits.float().sigmoid() * encoded.keep_ref_B.view(-1, 1, 1, 1)
        alpha = self.schedule.alphas_cumprod[t]
        a, s = alpha.sqrt().float(), (1 - alpha).sqrt().float()
        eps = compose(mask, copied_noise(z_BCHW.float(), encoded.copy_BCHW.float(), a, s), dynamic.float())
        return Prediction(eps.to(z_BCHW.dtype), mask)

    def _time(self, t: int) -> list[list[Tensor]]:
        if t not in self._times:
            step = torch.tensor(t, device=self.device)
            self._times[t] = [network.time(step, self.dtype) for network in self.networks]
        return self._times[t]

    def _frame(self, text_BLD: Tensor, encoded: Encoded) -> list[_Inputs]:
        """Computed when first seen; recognised by identity, because a denoiser hands in the same objects each time."""
        for text, features, inputs in self._inputs:
            if text is text_BLD and features is encoded:
                return inputs
        parts: list[Any] = [encoded.dynamic, encoded.mask][: len(self.networks)]
        inputs = [_Inputs(n.text(text_BLD), Frozen.of(f)) for n, f in zip(self.networks, parts, strict=True)]
        self._inputs = [(text_BLD, encoded, inputs), *self._inputs][:_REMEMBERED]
        return inputs


def _fingerprint(model: ArtVModel) -> int:
    """Changes when a weight is replaced, moved, or written to."""
    return hash(tuple((p.data_ptr(), p._version, p.dtype, p.device) for p in model.parameters()))
