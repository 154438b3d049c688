"""Stands in for the model while sampling: the same results, faster, with what does not change computed once.

Shape suffixes: B rows, C latent channels, H W latent size, L text tokens, D text width.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from artv.composition import compose, copied_noise
from artv.networks.crops import Crops
from artv.networks.deep_features import DeepPair
from artv.networks.fast.captured import CapturedEvaluation, CapturedNetwork, FrameInputs
from artv.networks.fast.networks import Frozen, InferenceNetwork
from artv.networks.model import AnchorPair, ArtVModel, Conditions, Encoded, Prediction
from artv.networks.streams import SideStream

_REMEMBERED = 4  # sets of guidance branches within one frame
_GRAPHS = 16  # shapes for which a captured graph is kept
_FEW_CROPS = 8  # that are captured: more keep a GPU busy, and their number differs from step to step

_T = TypeVar("_T")


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
        self._captured: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

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
        evaluation = self._graph(key, lambda: CapturedEvaluation(self, z_BCHW, self._time(t), frame, masked, deep))
        return evaluation(z_BCHW, self._time(t), frame, a, s, deep)

    def mask_at(self, z_BCHW: Tensor, t: int, text_BLD: Tensor, encoded: Encoded) -> Tensor | None:
        """The same as :meth:`ArtVModel.mask_at`."""
        if not self.networks or torch.is_grad_enabled():
            return self.model.mask_at(z_BCHW, t, text_BLD, encoded)
        if len(self.networks) == 1:
            return None
        frame = self._frame(text_BLD, encoded)
        mask = z_BCHW.new_zeros(z_BCHW.shape[0], 1, *z_BCHW.shape[2:], dtype=torch.float32)
        if frame.mask_rows is not None and not len(frame.mask_rows):
            return mask
        logits = self._network(1, self._referred(z_BCHW, frame), t, frame.inputs[1], frame.mask_copies or 1)
        return self._whole_mask(mask, logits, frame)

    def dynamic_at(self, z_BCHW: Tensor, t: int, text_BLD: Tensor, encoded: Encoded, crops: Crops) -> Tensor:
        """The same as :meth:`ArtVModel.dynamic_at`."""
        if crops == Crops.whole(len(z_BCHW), (z_BCHW.shape[2], z_BCHW.shape[3])):
            return self.predict_at(z_BCHW, t, text_BLD, encoded, use_mask=False).eps_BCHW.to(self.dtype)
        if not self.networks or torch.is_grad_enabled():
            return self.model.dynamic_at(z_BCHW, t, text_BLD, encoded, crops)
        inputs = self._frame(text_BLD, encoded).inputs[0].within(crops)
        z_MChw = crops.crop(z_BCHW).to(self.dtype)
        return self._network(0, z_MChw, t, inputs, graph=len(z_MChw) <= _FEW_CROPS)

    def _network(
        self, which: int, z_BCHW: Tensor, t: int, inputs: FrameInputs, copies: int = 1, *, graph: bool = True
    ) -> Tensor:
        """One of the networks by itself. Overwritten by the next call for the same shapes."""
        network, time = self.networks[which], self._time(t)[which]
        if not (self.graphs and graph):
            return network(z_BCHW, time, *inputs, None, copies)
        shapes = [x.shape for x in (z_BCHW, *inputs.tensors())]
        key = (which, copies, inputs.features.anchored, z_BCHW.dtype, *shapes)
        one = self._graph(key, lambda: CapturedNetwork(network, z_BCHW, time, inputs, copies))
        return one(z_BCHW, time, inputs)

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
            z_mask = self._referred(z_BCHW, frame)
            logits = self.networks[1](z_mask, times[1], *frame.inputs[1], deep_mask, frame.mask_copies or 1)
        dynamic = dynamic_noise()
        self.side_stream.join(logits)
        mask = self._whole_mask(mask, logits, frame)
        eps = compose(mask, copied_noise(z_BCHW.float(), frame.encoded.copy_BCHW.float(), a, s), dynamic.float())
        return Prediction(eps.to(z_BCHW.dtype), mask, dynamic)

    def _referred(self, z_BCHW: Tensor, frame: _Frame) -> Tensor:
        """What the mask network sees: the rows that have a reference, and of copies the first."""
        if frame.mask_copies:
            z_BCHW = z_BCHW[: len(z_BCHW) // frame.copies]
        elif frame.mask_rows is not None:
            z_BCHW = z_BCHW[frame.mask_rows]
        return z_BCHW.to(self.dtype)

    def _whole_mask(self, zeros: Tensor, logits: Tensor, frame: _Frame) -> Tensor:
        share = logits.float().sigmoid()
        return share if frame.mask_rows is None else zeros.index_copy(0, frame.mask_rows, share)

    def _graph(self, key: tuple[Any, ...], capture: Callable[[], _T]) -> _T:
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


def _fingerprint(model: ArtVModel) -> int:
    """Changes when a weight is replaced, moved, or written to."""
    return hash(tuple((p.data_ptr(), p._version, p.dtype, p.device) for p in model.parameters()))
