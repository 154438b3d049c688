"""Stands in for the model while a clip is sampled on a CPU: OpenVINO evaluates the rows, as many at once as there are
threads.

One clip's evaluation is thousands of operations of few microseconds each. There a core gains nothing from sharing an
operation with another, and much from a compiled graph; so each row (a guidance branch of a clip) is one thread's.

Shape suffixes: B rows, C latent channels, H W latent size, L text tokens, D text width.
"""

from typing import Any

import torch
from torch import Tensor

from artv.errors import UserError
from artv.networks.deep_features import DeepPair
from artv.networks.fast.model import InferenceModel
from artv.networks.model import ArtVModel, Encoded, Prediction
from artv.networks.openvino.graph import flattened, imported, row_graph
from artv.requests import check_openvino

_MOST_ROWS = 8  # with more, large products keep the cores busy without OpenVINO
_GRAPHS = 4  # sizes for which a graph is kept


class OpenVinoModel(InferenceModel):
    """An :class:`InferenceModel` whose :meth:`predict_at` goes through OpenVINO where that is faster.

    Many rows, deep features, crops, a mask that is left out, autocast and gradients are as in
    :class:`InferenceModel`.

    Args:
        model: on the CPU, in float32, in evaluation mode.

    Raises:
        UserError: OpenVINO is not installed, or the model is elsewhere or in another precision.
    """

    def __init__(self, model: ArtVModel) -> None:
        check_openvino(str(model.device))
        if model.dtype != torch.float32:
            raise UserError(f"OpenVINO is used in float32, and the model is in {model.dtype}; load it in float32")
        super().__init__(model)
        self._rows: dict[tuple[Any, ...], _Rows] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Graphs are made anew by a copy."""
        return {**self.__dict__, "_rows": {}}

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
        """The same as :meth:`ArtVModel.predict_at`. The first call for new sizes waits for the graph."""
        whole = deep is None and (use_mask or self.model.mask_network is None)
        half = z_BCHW.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
        if not whole or half or len(z_BCHW) > _MOST_ROWS or torch.is_grad_enabled():
            return super().predict_at(z_BCHW, t, text_BLD, encoded, use_mask=use_mask, deep=deep, copies=copies)
        streams = torch.get_num_threads()
        key = (z_BCHW.shape[1:], text_BLD.shape[1:], streams)
        t_B = torch.tensor([t])
        level = [t_B, *self.schedule.a_s(t_B)]
        if key not in self._rows:
            z_1CHW, *fixed = (tensor[:1].contiguous() for tensor in (z_BCHW, *flattened(text_BLD, encoded)))
            self._rows = dict([*self._rows.items()][1 - _GRAPHS :])
            self._rows[key] = _Rows(row_graph(self.model, [z_1CHW, *level, *fixed], streams))
        return self._rows[key](z_BCHW, level, text_BLD, encoded)


class _Rows:
    """Requests to one graph, one a row. The conditions of a frame are copied in when it is first seen."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.requests: list[_Request] = []
        self.frame: tuple[Tensor, Encoded] | None = None

    def __call__(self, z_BCHW: Tensor, level: list[Tensor], text_BLD: Tensor, encoded: Encoded) -> Prediction:
        # recognised by identity, because a denoiser hands in the same objects each time
        if self.frame is None or self.frame[0] is not text_BLD or self.frame[1] is not encoded:
            self.frame = None  # until all of it is there
            self.requests += [_Request(self.graph) for _ in range(len(z_BCHW) - len(self.requests))]
            fixed = flattened(text_BLD, encoded)
            for row in range(len(z_BCHW)):
                for own, given in zip(self.requests[row].inputs[4:], fixed, strict=True):
                    own.copy_(given[row : row + 1])
            self.frame = text_BLD, encoded
        used = self.requests[: len(z_BCHW)]
        for row, request in enumerate(used):
            request.start(z_BCHW[row : row + 1], *level)
        rows = [request.wait() for request in used]
        results = [torch.cat(tensors) for tensors in zip(*rows, strict=True)]
        return Prediction(results[0], None) if len(results) == 1 else Prediction(results[0], results[1], results[2])


class _Request:
    """Memory for the evaluation of one row. It is OpenVINO's, and torch sees it."""

    def __init__(self, graph: Any) -> None:
        openvino = imported()
        self.request = graph.create_infer_request()
        inputs = [openvino.Tensor(port.element_type, port.shape) for port in graph.inputs]
        outputs = [openvino.Tensor(port.element_type, port.shape) for port in graph.outputs]
        for i, tensor in enumerate(inputs):
            self.request.set_input_tensor(i, tensor)
        for i, tensor in enumerate(outputs):
            self.request.set_output_tensor(i, tensor)
        with torch.inference_mode(False):  # or they could not be written to outside of it
            self.inputs = [torch.from_numpy(tensor.data) for tensor in inputs]  # which keep the memory alive
            self.outputs = [torch.from_numpy(tensor.data) for tensor in outputs]

    def start(self, *changing: Tensor) -> None:
        """Computes in a thread of OpenVINO's; ``changing`` are the first inputs, the others stay."""
        for own, given in zip(self.inputs, changing, strict=False):
            own.copy_(given)
        self.request.start_async()

    def wait(self) -> list[Tensor]:
        """The results, until the next start."""
        self.request.wait()
        return self.outputs
