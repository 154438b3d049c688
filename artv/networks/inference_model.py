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
    """An :class:`ArtVModel` that is only sampled from: ``encode``, ``predict``, ``schedule``, ``sizes``.

    ``predict`` expects what samplers give it: every row at the same timestep, and no gradients. Otherwise, and for
    UNets of other parts than SD-2.1's, it calls the model's own.
    """

    def __init__(self, model: ArtVModel) -> None:
        self.model = model
        self.schedule, self.sizes, self.encode = model.schedule, model.sizes, model.encode
        networks = [n for n in (model.dynamic_network, model.mask_network) if n is not None]
        self.networks = [InferenceNetwork(n) for n in networks] if all(map(InferenceNetwork.fits, networks)) else []
        self._times: dict[int, list[list[Tensor]]] = {}
        self._inputs: list[tuple[Tensor, Encoded, list[_Inputs]]] = []

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """In which the networks run."""
        return self.model.dtype

    def predict(
        self, z_BCHW: Tensor, t_B: Tensor, text_BLD: Tensor, encoded: Encoded, *, use_mask: bool = True
    ) -> Prediction:
        """As :meth:`ArtVModel.predict`."""
        if not self._serves(t_B):
            return self.model.predict(z_BCHW, t_B, text_BLD, encoded, use_mask=use_mask)
        times, inputs = self._time(t_B[0]), self._frame(text_BLD, encoded)
        z_in = z_BCHW.to(self.dtype)
        dynamic = self.networks[0](z_in, times[0], *inputs[0])
        if len(self.networks) == 1 or not use_mask:
            return Prediction(dynamic.to(z_BCHW.dtype), None)
        logits = self.networks[1](z_in, times[1], *inputs[1])
        mask = logits.float().sigmoid() * encoded.keep_ref_B.view(-1, 1, 1, 1)
        a, s = self.schedule.a_s(t_B)
        eps = compose(mask, copied_noise(z_BCHW.float(), encoded.copy_BCHW.float(), a, s), dynamic.float())
        return Prediction(eps.to(z_BCHW.dtype), mask)

    def _serves(self, t_B: Tensor) -> bool:
        same = t_B.device.type != "cpu" or bool((t_B == t_B[0]).all())  # asking a GPU would wait for it
        return bool(self.networks) and not torch.is_grad_enabled() and same

    def _time(self, t: Tensor) -> list[list[Tensor]]:
        if t.device.type != "cpu":
            return [network.time(t, self.dtype) for network in self.networks]
        if int(t) not in self._times:
            self._times[int(t)] = [network.time(t, self.dtype) for network in self.networks]
        return self._times[int(t)]

    def _frame(self, text_BLD: Tensor, encoded: Encoded) -> list[_Inputs]:
        """Computed when first seen; recognised by identity, because a denoiser hands in the same objects each time."""
        for text, features, inputs in self._inputs:
            if text is text_BLD and features is encoded:
                return inputs
        parts: list[Any] = [encoded.dynamic, encoded.mask][: len(self.networks)]
        inputs = [_Inputs(n.text(text_BLD), Frozen.of(f)) for n, f in zip(self.networks, parts, strict=True)]
        self._inputs = [(text_BLD, encoded, inputs), *self._inputs][:_REMEMBERED]
        return inputs
