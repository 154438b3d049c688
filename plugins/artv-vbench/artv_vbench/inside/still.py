"""How fast a clip moves, by the network of VBench's dynamic degree, as its ``static_filter.py`` has it.

RAFT gives the flow between neighbouring frames, and between the first and the last, both ways. The speed of a pair is
the mean over its fastest 2 % of pixels.

Shape suffixes: T frames, H W pixels.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from .loading import loaded_once

NETWORK = "dynamic_degree"
FASTEST = 0.02


def speeds(frames_THWC: np.ndarray, device: str) -> list[float]:
    """(T + 1): pixels that each pair of a clip (T, H, W, 3), uint8, moves."""
    import torch

    module, network = importlib.import_module(f"vbench.{NETWORK}"), _raft(device)

    def flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        pair: list[Any] = [torch.from_numpy(f.copy()).permute(2, 0, 1)[None].float().to(device) for f in (one, other)]
        with torch.no_grad():
            _, found = network(*module.InputPadder(pair[0].shape).pad(*pair), iters=20, test_mode=True)
        return found[0].cpu().numpy()

    return [speed(flow(*pair)) for pair in _pairs(frames_THWC)]


def speed(flow_2HW: np.ndarray) -> float:
    """Pixels that the fastest ones move."""
    found = np.sort(np.hypot(*flow_2HW).ravel())
    return float(found[len(found) - int(len(found) * FASTEST) :].mean())


def _pairs(frames_THWC: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for t in range(len(frames_THWC) - 1):
        yield frames_THWC[t], frames_THWC[t + 1]
    yield frames_THWC[0], frames_THWC[-1]
    yield frames_THWC[-1], frames_THWC[0]


def _raft(device: str) -> Any:
    """The network, loaded once; it pads as VBench pads."""
    import torch

    module, utils = (importlib.import_module(f"vbench.{name}") for name in (NETWORK, "utils"))
    path = utils.init_submodules([NETWORK], local=True)[NETWORK]["model"]
    given = {"model": path, "small": False, "mixed_precision": False, "alternate_corr": False}  # as VBench gives it
    with loaded_once(NETWORK):
        return module.DynamicDegree(module.edict(given), torch.device(device)).model
