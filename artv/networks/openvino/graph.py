"""One row of a model as a graph of OpenVINO: latent, noise level and every condition go in, the weights are in it.

The graph is traced from the model itself, once for sizes and weights, and kept on disk. Nobody is told of it: OpenVINO
reports to its makers each import and each call of ``openvino.convert_model``, so :func:`imported` imports it as if its
telemetry were not installed, and the frontend converts directly.

Shape suffixes: B rows (1 in the graph), C latent channels, H W latent size, L text tokens, D text width.
"""

import hashlib
import json
import sys
import warnings
from collections.abc import Sequence
from itertools import islice
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

from artv.composition import compose, copied_noise
from artv.networks.conditional_unet import ConditionalUNet, Features
from artv.networks.model import ArtVModel, Encoded
from artv.networks.openvino import kept_graphs

_FORMAT = 1  # to be raised with any change of what the networks compute: kept graphs no longer fit then


def imported() -> Any:
    """The package ``openvino``, without telemetry unless somebody has imported it before."""
    telemetry = "openvino_telemetry"
    before = sys.modules.get(telemetry)
    sys.modules[telemetry] = None  # type: ignore[assignment]  # not to be found: OpenVINO then uses a stub of its own
    try:
        import openvino
    finally:
        if before is None:
            del sys.modules[telemetry]
        else:
            sys.modules[telemetry] = before
    return openvino


def flattened(text_BLD: Tensor, encoded: Encoded) -> list[Tensor]:
    """All that stays the same while a frame is denoised, in the order of the graph's inputs. Each begins with B."""
    networks = [features for features in (encoded.dynamic, encoded.mask) if features is not None]
    tensors = [text_BLD, encoded.copy_BCHW, encoded.keep_ref_B]
    for features in networks:
        tensors += [*features.refs, *(t for pair in features.anchor for t in pair), features.keep_anchor_B]
    return tensors


def _assembled(model: ArtVModel, tensors: Sequence[Tensor]) -> tuple[Tensor, Encoded]:
    """The inverse of :func:`flattened`."""
    text_BLD, copy_BCHW, keep_ref_B, *others = tensors
    left = iter(others)

    def features(network: ConditionalUNet) -> Features:
        refs = tuple(islice(left, len(network.unet.down_blocks)))
        anchor = tuple((next(left), next(left)) for _ in network.anchor_blocks)
        return Features(refs, anchor, next(left))

    dynamic = features(model.dynamic_network)
    mask = None if model.mask_network is None else features(model.mask_network)
    return text_BLD, Encoded(dynamic, mask, copy_BCHW, keep_ref_B)


class _Row(nn.Module):
    """:meth:`ArtVModel.predict` as a function of tensors alone, which is what can be traced.

    Levels are inputs, because in the graph 1 − ᾱ would be a difference in float32.
    """

    def __init__(self, model: ArtVModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, z_BCHW: Tensor, t_B: Tensor, a_B111: Tensor, s_B111: Tensor, *fixed: Tensor) -> Any:
        text_BLD, encoded = _assembled(self.model, fixed)
        dynamic_BCHW = self.model.dynamic_network(z_BCHW, t_B, text_BLD, encoded.dynamic)
        if self.model.mask_network is None:
            return dynamic_BCHW
        logits_B1HW = self.model.mask_network(z_BCHW, t_B, text_BLD, encoded.mask)
        mask_B1HW = logits_B1HW.sigmoid() * encoded.keep_ref_B.view(-1, 1, 1, 1)
        copied_BCHW = copied_noise(z_BCHW, encoded.copy_BCHW, a_B111, s_B111)
        return compose(mask_B1HW, copied_BCHW, dynamic_BCHW), mask_B1HW, dynamic_BCHW


def row_graph(model: ArtVModel, example: list[Tensor], streams: int) -> Any:
    """The compiled graph, from disk if it was kept.

    Args:
        model: on the CPU, in float32.
        example: latent, timestep (int64), its levels a and s, and what :func:`flattened` returns, with one row each.
        streams: rows that are computed at once, a thread for each.
    """
    openvino = imported()
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams}
    about = {
        "format": _FORMAT,
        "config": {key: value for key, value in model.config.items() if not key.startswith("_")},
        "inputs": [list(tensor.shape) for tensor in example],
        "settings": settings,
        "processor": [core.get_property("CPU", key) for key in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")],
        "versions": [openvino.get_version(), torch.__version__, diffusers.__version__],
    }
    name = _digest(about, model)
    kept = kept_graphs.read(name)
    if kept is not None:
        try:
            return core.import_model(kept, "CPU", settings)
        except RuntimeError:  # not what this OpenVINO writes
            pass
    graph = core.compile_model(_converted(model, example), "CPU", settings)
    kept_graphs.write(name, graph.export_model().getvalue())
    return graph


@torch.no_grad()
def _converted(model: ArtVModel, example: list[Tensor]) -> Any:
    """The graph with sizes fixed, not yet compiled."""
    openvino = imported()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about sizes that become constants, as they should
        traced = torch.jit.trace(_Row(model).eval(), tuple(example), check_trace=False)
        decoder = TorchScriptPythonDecoder(traced, example_input=tuple(example), shared_memory=False)
    frontend = FrontEndManager().load_by_framework("pytorch")
    graph = frontend.convert(frontend.load(decoder))
    graph.reshape({i: openvino.PartialShape(list(tensor.shape)) for i, tensor in enumerate(example)})
    return graph


def _digest(about: dict[str, Any], model: ArtVModel) -> str:
    """Digest of everything that the graph is made from."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()[:32]
