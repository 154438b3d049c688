"""Stands in for the model while sampling: the same results, faster, with what does not change computed once.

Shape suffixes: B rows, C latent channels, H W latent size, L text tokens, D text width.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from artv.composition import compose, copied_noise
from artv.networks.conditional_unet import KeysValues
from artv.networks.crops import Crops
from artv.networks.deep_features import DeepFeatures, DeepPair
from artv.networks.fast.graphs import CapturedGraph
from artv.networks.fast.networks import Frozen, InferenceNetwork
from artv.networks.model import AnchorPair, ArtVModel, Conditions, Encoded, Prediction
from artv.networks.streams import SideStream

_REMEMBERED = 4  # sets of guidance branches within one frame
_GRAPHS = 8  # shapes for which a captured graph is kept


class FrameInputs(NamedTuple):
    """What one network takes beside the latent and the timestep; fixed while a frame is being denoised."""

    text: list[KeysValues]
    features: Frozen

    def tensors(self) -> list[Tensor]:
        """All of them, in a fixed order."""
        return [*(t for pair in self.text for t in pair), *self.features.tensors()]

    def clone(self) -> "FrameInputs":
        """The same values in memory of its own."""
        return FrameInputs([(k.clone(), v.clone()) for k, v in self.text], self.features.clone())


class _Frame(NamedTuple):
    """The inputs of all networks for one frame, and the objects by which they are recognised.

    ``copies``: the rows are so many times the same latents. ``mask_rows``: those that have a reference. Without one
    the mask is 0, whatever the network says, so it is not asked; None where all rows have one. ``mask_copies``: of
    how many whole copies these rows are made, 0 if they are not.
    """

    text_BLD: Tensor
    encoded: Encoded
    copies: int
    inputs: list[FrameInputs]
    mask_rows: Tensor | None
    mask_copies: int
    layout: tuple[Any, ...]
    """What decides the operations: frames of one layout can share a graph."""


class InferenceModel:
    """An :class:`ArtVModel` that is only sampled from, with its ``encode``, ``predict_at``, ``schedule`` and ``sizes``.

    Where gradients are wanted, or a UNet has other parts than SD-2.1's, the model itself is called.

    Args:
        model: in evaluation mode.
        graphs: on CUDA, record each shape's evaluation as a CUDA graph and replay it, with the two networks on two
            streams. Results are those of the same operations launched one by one.
    """

    def __init__(self, model: ArtVModel, *, graphs: bool = True) -> None:
        self.model = model
        self.schedule, self.sizes = model.schedule, model.sizes
        self.device, self.dtype = model.device, model.dtype  # asking diffusers each time takes milliseconds
        networks = [n for n in (model.dynamic_network, model.mask_network) if n is not None]
        self.networks = [InferenceNetwork(n) for n in networks] if all(map(InferenceNetwork.fits, networks)) else []
        self.side_stream = SideStream(on=True)
        self.graphs = graphs and self.device.type == "cuda"
        self._weights = _fingerprint(model)
        self._times: dict[int, list[Tensor]] = {}
        self._frames: list[_Frame] = []
        self._anchor: tuple[Tensor, int, AnchorPair] | None = None
        self._captured: OrderedDict[tuple[Any, ...], _CapturedEvaluation] = OrderedDict()

    def stands_for(self, model: ArtVModel) -> bool:
        """Whether it was made from ``model`` with the weights, device and dtype that ``model`` has now."""
        return self.model is model and self._weights == _fingerprint(model)

    def encode(self, c: Conditions) -> Encoded:
        """The same as :meth:`ArtVModel.encode`. What is derived from the anchor frame is kept for the next frame."""
        anchor_BCHW = c.anchor_BCHW
        if torch.is_grad_enabled() or anchor_BCHW.is_inference():  # whether the latter has changed is not known
            return self.model.encode(c)
        kept = self._anchor
        if kept is None or kept[0] is not anchor_BCHW or kept[1] != anchor_BCHW._version:
            kept = self._anchor = anchor_BCHW, anchor_BCHW._version, self.model.anchor_features(anchor_BCHW)
        return self.model.encode(c, kept[2])

    def predict_at(
        self,
        z_BCHW: Tensor,
        t: int,
        text_BLD: Tensor,
        encoded: Encoded,
        *,
        use_mask: bool = True,
        deep: DeepPair | None = None,
        copies: int = 1,
    ) -> Prediction:
        """The same as :meth:`ArtVModel.predict_at`.

        ``copies``: a promise that the rows of ``z`` are so many times the same latents, one after the other (guidance
        branches), so that what they share is computed once.
        """
        if not self.networks or torch.is_grad_enabled():
            return self.model.predict_at(z_BCHW, t, text_BLD, encoded, use_mask=use_mask, deep=deep)
        frame = self._frame(text_BLD, encoded, copies)
        masked = use_mask and len(self.networks) == 2
        alpha = self.schedule.alphas_cumprod[t]
        a, s = float(alpha.sqrt()), float((1 - alpha).sqrt())
        if not self.graphs:
            return self._evaluate(z_BCHW, self._time(t), frame, a, s, deep, masked=masked)
        # one graph for whole evaluations that keep nothing, one for those that fill `deep`, one for those that use it
        mode = None if deep is None else tuple((one.blocks, one.filled) for one in deep)
        key = (z_BCHW.shape, z_BCHW.dtype, masked, mode, *frame.layout)
        evaluation = self._graph(key, lambda: _CapturedEvaluation(self, z_BCHW, self._time(t), frame, masked, deep))
        return evaluation(z_BCHW, self._time(t), frame, a, s, deep)

    def mask_at(self, z_BCHW: Tensor, t: int, text_BLD: Tensor, encoded: Encoded) -> Tensor | None:
        """The same as :meth:`ArtVModel.mask_at`. Launched operation by operation."""
        if not self.networks or torch.is_grad_enabled():
            return self.model.mask_at(z_BCHW, t, text_BLD, encoded)
        if len(self.networks) == 1:
            return None
        frame = self._frame(text_BLD, encoded)
        mask = z_BCHW.new_zeros(z_BCHW.shape[0], 1, *z_BCHW.shape[2:], dtype=torch.float32)
        if frame.mask_rows is not None and not len(frame.mask_rows):
            return mask
        return self._whole_mask(mask, self._logits(z_BCHW, self._time(t), frame, None), frame)

    def dynamic_at(self, z_BCHW: Tensor, t: int, text_BLD: Tensor, encoded: Encoded, crops: Crops) -> Tensor:
        """The same as :meth:`ArtVModel.dynamic_at`. Crops are launched one by one, whole frames as a graph."""
        if crops == Crops.whole(len(z_BCHW), (z_BCHW.shape[2], z_BCHW.shape[3])):
            return self.predict_at(z_BCHW, t, text_BLD, encoded, use_mask=False).eps_BCHW.to(self.dtype)
        if not self.networks or torch.is_grad_enabled():
            return self.model.dynamic_at(z_BCHW, t, text_BLD, encoded, crops)
        inputs = self._frame(text_BLD, encoded).inputs[0]
        text = [(crops.take(k), crops.take(v)) for k, v in inputs.text]
        z_MChw = crops.crop(z_BCHW).to(self.dtype)
        return self.networks[0](z_MChw, self._time(t)[0], text, inputs.features.within(crops))

    def _evaluate(
        self,
        z_BCHW: Tensor,
        times: list[Tensor],
        frame: _Frame,
        a: float | Tensor,
        s: float | Tensor,
        deep: DeepPair | None,
        *,
        masked: bool,
    ) -> Prediction:
        z_in = z_BCHW[: len(z_BCHW) // frame.copies].to(self.dtype)
        deep_dynamic, deep_mask = deep or (None, None)

        def dynamic_noise() -> Tensor:
            return self.networks[0](z_in, times[0], *frame.inputs[0], deep_dynamic, frame.copies)

        if not masked:
            return Prediction(dynamic_noise().to(z_BCHW.dtype), None)
        mask = z_BCHW.new_zeros(z_BCHW.shape[0], 1, *z_BCHW.shape[2:], dtype=torch.float32)
        if frame.mask_rows is not None and not len(frame.mask_rows):
            dynamic = dynamic_noise()
            return Prediction(dynamic.to(z_BCHW.dtype), mask, dynamic)
        with self.side_stream.beside(z_in.device):
            logits = self._logits(z_BCHW, times, frame, deep_mask)
        dynamic = dynamic_noise()
        self.side_stream.join(logits)
        mask = self._whole_mask(mask, logits, frame)
        eps = compose(mask, copied_noise(z_BCHW.float(), frame.encoded.copy_BCHW.float(), a, s), dynamic.float())
        return Prediction(eps.to(z_BCHW.dtype), mask, dynamic)

    def _logits(self, z_BCHW: Tensor, times: list[Tensor], frame: _Frame, deep: DeepFeatures | None) -> Tensor:
        """Logits of the mask, for the rows that have a reference."""
        copies = frame.mask_copies or 1
        if frame.mask_copies:
            z_BCHW = z_BCHW[: len(z_BCHW) // frame.copies]
        elif frame.mask_rows is not None:
            z_BCHW = z_BCHW[frame.mask_rows]
        return self.networks[1](z_BCHW.to(self.dtype), times[1], *frame.inputs[1], deep, copies)

    def _whole_mask(self, zeros: Tensor, logits: Tensor, frame: _Frame) -> Tensor:
        share = logits.float().sigmoid()
        return share if frame.mask_rows is None else zeros.index_copy(0, frame.mask_rows, share)

    def _graph(self, key: tuple[Any, ...], capture: Callable[[], "_CapturedEvaluation"]) -> "_CapturedEvaluation":
        """The graph kept for ``key``; the ones used longest ago are given up."""
        if key in self._captured:
            self._captured.move_to_end(key)
        else:
            self._captured[key] = capture()
            while len(self._captured) > _GRAPHS:
                self._captured.popitem(last=False)
        return self._captured[key]

    def _time(self, t: int) -> list[Tensor]:
        if t not in self._times:
            step = torch.tensor(t, device=self.device)
            self._times[t] = [network.time(step, self.dtype) for network in self.networks]
        return self._times[t]

    def _frame(self, text_BLD: Tensor, encoded: Encoded, copies: int = 1) -> _Frame:
        """Computed when first seen; recognised by identity, because a denoiser hands in the same objects each time."""
        for frame in self._frames:
            if frame.text_BLD is text_BLD and frame.encoded is encoded and frame.copies == copies:
                return frame
        inputs = [FrameInputs(self.networks[0].text(text_BLD), Frozen.of(encoded.dynamic))]
        rows = None
        if len(self.networks) == 2 and encoded.mask is not None:
            rows = encoded.keep_ref_B.nonzero().flatten()
            inputs.append(FrameInputs(self.networks[1].text(text_BLD[rows]), Frozen.of(encoded.mask.rows(rows))))
        numbers = range(len(text_BLD)) if rows is None else rows.tolist()
        distinct = len(text_BLD) // copies
        whole = [n % distinct for n in numbers] == list(range(distinct)) * (len(numbers) // distinct)
        if rows is not None and len(rows) == len(text_BLD):
            rows = None
        layout = (copies, *numbers, *((one.features.anchored, len(one.tensors())) for one in inputs))
        mask_copies = len(numbers) // distinct if whole else 0
        frame = _Frame(text_BLD, encoded, copies, inputs, rows, mask_copies, layout)
        self._frames = [frame, *self._frames][:_REMEMBERED]
        return self._frames[0]


class _CapturedEvaluation:
    """One evaluation as a CUDA graph. A frame's inputs are copied in when the frame changes, the rest each time.

    Deep features that are filled are inputs, copied in each time; those that are empty are results, copied out.
    """

    def __init__(
        self,
        owner: InferenceModel,
        z_BCHW: Tensor,
        times: list[Tensor],
        frame: _Frame,
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
        self, z_BCHW: Tensor, times: list[Tensor], frame: _Frame, a: float, s: float, deep: DeepPair | None
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


def _fingerprint(model: ArtVModel) -> int:
    """Changes when a weight is replaced, moved, or written to."""
    return hash(tuple((p.data_ptr(), p._version, p.dtype, p.device) for p in model.parameters()))
