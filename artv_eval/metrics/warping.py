"""Warping error (Lai et al. 2018, eq. 6): how far a frame is from its neighbour moved along the optical flow.

Shape suffixes: B pairs of frames, T frames, C channels, H W pixels, n clips.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from artv.files import regular
from artv_eval.api import ClipSet
from artv_eval.features.precision import inference
from artv_eval.features.preprocess import resize
from artv_eval.features.weights import find
from artv_eval.metrics.base import MeanEvaluator
from artv_eval.metrics.views import by_frame

Flow = Callable[[Tensor, Tensor], Tensor]
"""(first, second), float (B, 3, H, W) in 0 … 255 → (B, 2, H, W): by how much (x, y) each pixel of the first moves."""


def warp(image_BCHW: Tensor, flow_B2HW: Tensor) -> tuple[Tensor, Tensor]:
    """The picture looked up at each pixel's flow, bilinear, and which pixels (B, H, W) come from inside."""
    H, W = image_BCHW.shape[-2:]
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    at = torch.stack([x, y]).to(flow_B2HW) + flow_B2HW
    size = torch.tensor([W - 1, H - 1]).to(at).view(1, 2, 1, 1)
    inside = ((at >= 0) & (at <= size)).all(1)
    grid = (2 * at / size - 1).permute(0, 2, 3, 1)
    return F.grid_sample(image_BCHW, grid, mode="bilinear", padding_mode="border", align_corners=True), inside


def visible(forward_B2HW: Tensor, backward_B2HW: Tensor) -> Tensor:
    """(B, H, W): where forward and backward flow agree, so that nothing is hidden, and off the edges of motion.

    Ruder et al. 2016, eq. 5 and 6, as in the program of Lai et al.; a pixel that leaves the picture is hidden too.
    """
    back, inside = warp(backward_B2HW, forward_B2HW)
    gap = ((forward_B2HW + back) ** 2).sum(1)
    size = (forward_B2HW**2).sum(1) + (back**2).sum(1)
    return inside & (gap < 0.01 * size + 0.5) & ~on_motion_boundary(forward_B2HW)


def on_motion_boundary(flow_B2HW: Tensor) -> Tensor:
    """(B, H, W): where the flow changes from a pixel to the next, right or below (Ruder et al. 2016, eq. 6)."""
    across = F.pad(flow_B2HW.diff(dim=3), (0, 1))
    down = F.pad(flow_B2HW.diff(dim=2), (0, 0, 0, 1))
    return (across**2 + down**2).sum(1) > 0.01 * (flow_B2HW**2).sum(1) + 0.002


def warping_curve(flow: Flow, clips_BTCHW: Tensor) -> Tensor:
    """(B, T − 1): mean squared difference over visible pixels, in grey levels 0 … 1 squared; NaN if none is visible."""
    x = clips_BTCHW.float()
    errors = [x.new_empty(len(x), 0)]  # of a single frame there is no pair
    for t in range(x.shape[1] - 1):
        first, second = x[:, t], x[:, t + 1]
        forward = flow(first, second)
        moved, _ = warp(second, forward)
        seen = visible(forward, flow(second, first)).float()
        squared = (((moved - first) / 255) ** 2).mean(1)
        error = (squared * seen).sum((1, 2)) / seen.sum((1, 2)).where(seen.sum((1, 2)) > 0, torch.nan)
        errors.append(error[:, None])
    return torch.cat(errors, 1)


class Raft:
    """RAFT small of torchvision (Teed & Deng 2020), on weights that are there: downloads nothing."""

    def __init__(self, weights: str | None = None, device: str = "cpu"):
        from torchvision.models.optical_flow import raft_small

        path, self.digest = find("raft", weights)
        self.network = raft_small()
        self.network.load_state_dict(torch.load(regular(path), map_location="cpu", weights_only=True))
        self.network.to(device).eval()
        self.device = device

    @inference()
    def __call__(self, first_BCHW: Tensor, second_BCHW: Tensor) -> Tensor:
        """(B, 2, H, W) pixels; pictures are scaled to at least 128 and a multiple of 8 pixels for the network."""
        H, W = first_BCHW.shape[-2:]
        scale = max(1.0, 128 / min(H, W))
        size = (int(np.ceil(H * scale / 8)) * 8, int(np.ceil(W * scale / 8)) * 8)
        a, b = (resize(z.to(self.device), size, "bilinear") / 127.5 - 1 for z in (first_BCHW, second_BCHW))
        flow = resize(self.network(a, b)[-1], (H, W), "bilinear").cpu()
        return flow * torch.tensor([W / size[1], H / size[0]]).view(1, 2, 1, 1)


class WarpingErrorEvaluator(MeanEvaluator):
    """Warping error in the harness; rows are curves (n, T − 1)."""

    higher_is_better, in_parts = False, True

    def __init__(self, flow: Flow | None = None, *, name: str = "warping_error"):
        self.flow, self.name = flow or Raft(), name
        self.digest = f"warping-2-{getattr(self.flow, 'digest', '1')}"

    def describe(self, clips: ClipSet) -> np.ndarray:
        """(n, T − 1): error from each frame to the next."""
        return by_frame(clips, lambda view: warping_curve(self.flow, view.pairs_BTCHW), most=4)

    def per_clip(self, rows: np.ndarray) -> np.ndarray:
        """(n,): mean over time."""
        return np.nanmean(rows, axis=1)

    def curve(self, rows: np.ndarray) -> np.ndarray:
        """(T − 1,): mean over clips."""
        return np.nanmean(rows, axis=0)
