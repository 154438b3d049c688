"""Optical flow without weights: Lucas and Kanade (1981), from coarse pictures to fine ones (Bouguet 2001).

    flow = LucasKanade()(first, second)        # (B, 2, H, W) pixels: where each pixel of the first goes

Around every pixel the flow is the one that explains the change of the luma best, by least squares over a square window.
Where nothing can be told, on flat places, it is 0; along an edge it is what is seen of it, across. It knows no objects:
at their borders it mixes.

Shape suffixes: B pairs of frames, H W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from artv_eval.features.preprocess import resize
from artv_eval.metrics.device_pictures import LUMA
from artv_eval.metrics.warping import warp

LEAST_SIDE = 16  # pixels of the coarsest picture's shorter side, at least
NOISE = 25.0  # grey levels squared: of gradients below this nothing is told, such as a camera's noise


class LucasKanade:
    """The estimator, on any device.

    Args:
        radius: of the window, pixels of each level.
        levels: pictures at most, each half as large as the one before: the coarsest sees 2^(levels − 1) times as far.
        steps: refinements a level.
    """

    def __init__(self, radius: int = 4, levels: int = 4, steps: int = 4, device: str = "cpu"):
        self.radius, self.levels, self.steps, self.device = radius, levels, steps, device
        self.digest = f"lucas-kanade-{radius}-{levels}-{steps}-1"

    @torch.inference_mode()
    def __call__(self, first_B3HW: Tensor, second_B3HW: Tensor) -> Tensor:
        """The flow between pictures in 0 … 255, on the CPU."""
        first, second = (_luma(x.to(self.device)) for x in (first_B3HW, second_B3HW))
        pairs = [(first, second)]
        while len(pairs) < self.levels and min(pairs[-1][0].shape[-2:]) >= 2 * LEAST_SIDE:
            first, second = (F.avg_pool2d(x, 2, ceil_mode=True) for x in pairs[-1])
            pairs.append((first, second))
        flow = first.new_zeros(len(first), 2, *first.shape[-2:])
        for first, second in reversed(pairs):
            if flow.shape[-2:] != first.shape[-2:]:
                flow = 2 * resize(flow, (first.shape[-2], first.shape[-1]), "bilinear")
            flow = self._refined(first, second, flow)
        return flow.cpu()

    def _refined(self, first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
        """The flow of one level, from that of the coarser one."""
        x, y = _gradient(first)
        xx, xy, yy = (self._around(product) for product in (x * x, x * y, y * y))
        told = xx + yy > NOISE
        xx, yy = xx + NOISE, yy + NOISE
        for _ in range(self.steps):
            moved, inside = warp(second, flow)
            change = (moved - first) * inside[:, None]
            xt, yt = self._around(x * change), self._around(y * change)
            step = torch.cat([xy * yt - yy * xt, xy * xt - xx * yt], 1) / (xx * yy - xy * xy)
            flow = flow + step.clamp(-1, 1)
        return flow * told

    def _around(self, x: Tensor) -> Tensor:
        """Mean over each pixel's window, as far as it lies in the picture."""
        side, rim = 2 * self.radius + 1, self.radius
        rows = F.avg_pool2d(x, (1, side), 1, (0, rim), count_include_pad=False)
        return F.avg_pool2d(rows, (side, 1), 1, (rim, 0), count_include_pad=False)


def _luma(x_B3HW: Tensor) -> Tensor:
    """(B, 1, H, W)."""
    return (x_B3HW.float() * x_B3HW.new_tensor(LUMA, dtype=torch.float32).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _gradient(x_B1HW: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences to the right and downwards."""
    padded = F.pad(x_B1HW, (1, 1, 1, 1), mode="replicate")
    x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    return x, (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
