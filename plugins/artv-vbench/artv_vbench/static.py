"""Which clips stand still: those alone count for temporal flickering under VBench's own prompts.

As its ``static_filter.py``: RAFT gives the flow between neighbouring frames, and between the first and the last, both
ways. The speed of a pair is the mean over its fastest 2 % of pixels. RAFT is the network of VBench's dynamic degree.
VBench-Long leaves the filter out, with its default flags.

Shape suffixes: T frames, P pairs (T + 1), H W pixels.
"""

import importlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from artv_vbench.loading import loaded_once

FILTERED, NETWORK = "temporal_flickering", "dynamic_degree"
FIRST = 5  # static clips of a prompt that count
FASTEST = 0.02
PIXELS, AT = 3.0, 256  # a pair moves above so many pixels, in a picture whose shorter side has so many


def stands_still(frames_THWC: np.ndarray, device: str) -> bool:
    """Whether a clip (T, H, W, 3), uint8, passes the filter."""
    flow = _flow(device)
    speeds = np.array([speed(flow(*pair)) for pair in _pairs(frames_THWC)])
    return is_static(speeds, min(frames_THWC.shape[1:3]))


def is_static(speed_P: np.ndarray, side: int) -> bool:
    """The rule: at most an eighth of the neighbours move, and from the first to the last frame it is not far."""
    frames = len(speed_P) - 1
    threshold, many = PIXELS * side / AT, round(2 * frames / 16)
    return bool((speed_P[:-2] > threshold).sum() <= many and (speed_P[-2:] <= threshold * many * 2).all())


def speed(flow_2HW: np.ndarray) -> float:
    """Pixels that the fastest ones move."""
    speeds = np.sort(np.hypot(*flow_2HW).ravel())
    return float(speeds[len(speeds) - int(len(speeds) * FASTEST) :].mean())


def _pairs(frames_THWC: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield from itertools.pairwise(frames_THWC)
    yield frames_THWC[0], frames_THWC[-1]
    yield frames_THWC[-1], frames_THWC[0]


def _flow(device: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """RAFT, loaded once: two frames (H, W, 3) → the flow (2, H, W), padded as VBench pads."""
    module, utils = (importlib.import_module(f"vbench.{name}") for name in (NETWORK, "utils"))
    path = utils.init_submodules([NETWORK], local=True)[NETWORK]["model"]
    given = {"model": path, "small": False, "mixed_precision": False, "alternate_corr": False}  # as VBench gives it
    with loaded_once(NETWORK):
        network = module.DynamicDegree(module.edict(given), torch.device(device)).model

    def flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        pair: list[Any] = [torch.from_numpy(f.copy()).permute(2, 0, 1)[None].float().to(device) for f in (one, other)]
        with torch.no_grad():
            _, found = network(*module.InputPadder(pair[0].shape).pad(*pair), iters=20, test_mode=True)
        return found[0].cpu().numpy()

    return flow
