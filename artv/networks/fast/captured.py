"""Evaluations as CUDA graphs: whole ones, and one network's, which copy in what has changed and replay."""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from artv.networks.conditional_unet import KeysValues
from artv.networks.crops import Crops
from artv.networks.deep_features import DeepFeatures, DeepPair
from artv.networks.fast.graphs import CapturedGraph
from artv.networks.fast.networks import Frozen, InferenceNetwork
from artv.networks.model import Prediction

if TYPE_CHECKING:
    from artv.networks.fast.model import InferenceModel, _Frame


class FrameInputs(NamedTuple):
    """What one network takes beside the latent and the timestep; fixed while a frame is being denoised."""

    text: list[KeysValues]
    features: Frozen

    def tensors(self) -> list[Tensor]:
        """All of them, in a fixed order."""
        return [*(t for pair in self.text for t in pair), *self.features.tensors()]

    def within(self, crops: Crops) -> "FrameInputs":
        """For crops of the frame; the text of their rows."""
        return FrameInputs([(crops.take(k), crops.take(v)) for k, v in self.text], self.features.within(crops))

    def clone(self) -> "FrameInputs":
        """The same values in memory of its own."""
        return FrameInputs([(k.clone(), v.clone()) for k, v in self.text], self.features.clone())


class CapturedEvaluation:
    """One evaluation as a CUDA graph. A frame's inputs are copied in when the frame changes, the rest each time.

    Deep features that are filled are inputs, copied in each time; those that are empty are results, copied out.
    """

    def __init__(
        self,
        owner: "InferenceModel",
        z_BCHW: Tensor,
        times: list[Tensor],
        frame: "_Frame",
        masked: bool,
        deep: DeepPair | None,
    ) -> None:
        with torch.inference_mode(False), torch.no_grad():  # or they could not be written to outside of it
            self.z_BCHW = z_BCHW.clone()
            self.times = [time.clone() for time in times]
            self.inputs = [one.clone() for one in frame.inputs]
            self.copy_BCHW = frame.encoded.copy_BCHW.clone()
            self.a, self.s = torch.ones((), device=z_BCHW.device), torch.ones((), device=z_BCHW.device)
        self.frame = frame
        self.mask_rows = None if frame.mask_rows is None else frame.mask_rows.clone()
        # the caller's are filled after the capture, so what they are now is noted
        places = [(one.blocks, None if one.h_BCHW is None else one.h_BCHW.clone()) for one in deep or ()]
        self.deep_in = [h for _, h in places if h is not None]
        own = frame._replace(
            encoded=frame.encoded._replace(copy_BCHW=self.copy_BCHW), inputs=self.inputs, mask_rows=self.mask_rows
        )

        def evaluate() -> tuple[Prediction, list[Tensor | None]]:
            pair: Any = tuple(DeepFeatures(*place) for place in places) or None
            prediction = owner._evaluate(self.z_BCHW, self.times, own, self.a, self.s, pair, masked=masked)
            return prediction, [one.h_BCHW for one in pair or ()]

        self.graph = CapturedGraph(evaluate)

    def __call__(
        self, z_BCHW: Tensor, times: list[Tensor], frame: "_Frame", a: float, s: float, deep: DeepPair | None
    ) -> Prediction:
        if frame is not self.frame:
            into, new = ([t for one in inputs for t in one.tensors()] for inputs in (self.inputs, frame.inputs))
            torch._foreach_copy_([*into, self.copy_BCHW], [*new, frame.encoded.copy_BCHW])
            self.frame = frame
        self.z_BCHW.copy_(z_BCHW)
        torch._foreach_copy_(self.times, times)
        filled = [one.h_BCHW for one in deep or () if one.h_BCHW is not None]
        for own, given in zip(self.deep_in, filled, strict=True):
            own.copy_(given)
        self.a.fill_(a)
        self.s.fill_(s)
        prediction, deep_out = self.graph.replay()
        for one, h in zip(deep or (), deep_out, strict=True):
            if not one.filled and h is not None:
                one.h_BCHW = h.clone()
        outputs: list[Any] = [None if tensor is None else tensor.clone() for tensor in prediction[:3]]
        return Prediction(*outputs)


class CapturedNetwork:
    """One network's call as a CUDA graph, for latents and conditions of the shapes of the first.

    Conditions are copied in where they are other tensors than the last time. The next call overwrites the result.
    """

    def __init__(
        self, network: InferenceNetwork, z_BCHW: Tensor, time: Tensor, inputs: FrameInputs, copies: int
    ) -> None:
        with torch.inference_mode(False), torch.no_grad():  # or they could not be written to outside of it
            self.z_BCHW, self.time, self.inputs = z_BCHW.clone(), time.clone(), inputs.clone()
        self.own = [self.time, *self.inputs.tensors()]
        self.given: list[Tensor] = self.own
        self.graph = CapturedGraph(lambda: network(self.z_BCHW, self.time, *self.inputs, None, copies))

    def __call__(self, z_BCHW: Tensor, time: Tensor, inputs: FrameInputs) -> Tensor:
        given = [time, *inputs.tensors()]
        changed = [i for i, (new, last) in enumerate(zip(given, self.given, strict=True)) if new is not last]
        if changed:
            torch._foreach_copy_([self.own[i] for i in changed], [given[i] for i in changed])
        self.given = given
        self.z_BCHW.copy_(z_BCHW)
        return self.graph.replay()
