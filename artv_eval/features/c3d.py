"""C3D (Tran et al. 2015, Fig. 3), the classifier behind the Inception Score on UCF-101 (Saito et al. 2017, TGAN).

The module names are those of the public ports (``conv1`` … ``conv5b``, ``fc6`` … ``fc8``). The weights that TGAN
fine-tuned on UCF-101 are published for Chainer only; give a converted state dict, and its mean picture if it has one.

Shape suffixes: B clips, T frames (16), C channels, H W pixels.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artv.errors import UserError
from artv.files import regular
from artv_eval.features.base import digest_of, seen_by
from artv_eval.features.precision import inference
from artv_eval.features.preprocess import resize
from artv_eval.features.weights import find

FRAMES, TALL, WIDE, CROP = 16, 128, 171, 112
CONVOLUTIONS = {
    "conv1": (3, 1),
    "conv2": (1, 2),
    "conv3a": (2, 4),
    "conv3b": (4, 4),
    "conv4a": (4, 8),
    "conv4b": (8, 8),
    "conv5a": (8, 8),
    "conv5b": (8, 8),
}
POOLED = ("conv1", "conv2", "conv3b", "conv4b", "conv5b")


class C3D(nn.Module):
    """(B, 3, 16, 112, 112) → (B, ``num_classes``) logits. ``width`` and ``hidden`` are 64 and 4096 in the paper."""

    def __init__(self, num_classes: int = 101, width: int = 64, hidden: int = 4096):
        super().__init__()
        for name, (cin, cout) in CONVOLUTIONS.items():
            self.add_module(name, nn.Conv3d(3 if name == "conv1" else cin * width, cout * width, 3, padding=1))
        self.fc6 = nn.Linear(8 * width * 4 * 4, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        for name in CONVOLUTIONS:
            x = F.relu(getattr(self, name)(x))
            if name == "conv1":
                x = F.max_pool3d(x, (1, 2, 2))
            elif name in POOLED:
                x = F.max_pool3d(x, 2, padding=(0, 1, 1) if name == "conv5b" else 0)
        return self.fc8(F.relu(self.fc7(F.relu(self.fc6(x.flatten(1))))))


class C3dLogits:
    """C3D's logits: frames stretched to 128 × 171, minus the mean, central 112 × 112, values 0 … 255.

    Args:
        network, digest: with its weights, and their name.
        mean: what is subtracted: an array that broadcasts to (3, 16, 128, 171).
        bgr: the network wants blue first.
        device: where it runs.
    """

    name = "c3d"

    def __init__(
        self, network: C3D, digest: str, *, mean: np.ndarray | float = 0.0, bgr: bool = False, device: str = "cpu"
    ):
        self.network, self.device, self.bgr = network.to(device).eval(), device, bgr
        self.mean = torch.as_tensor(mean, dtype=torch.float32, device=device)
        self.dim = network.fc8.out_features
        self.digest = digest_of([digest, self.mean.cpu().numpy().tobytes(), str(bgr)])

    @inference()
    def __call__(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, classes) float32 on the CPU."""
        T = clip_BTCHW.shape[1]
        if T != FRAMES:
            raise UserError(f"clips of {T} frames; C3D takes exactly {FRAMES}")
        x = seen_by(self, clip_BTCHW).transpose(1, 2) - self.mean
        top, left = (TALL - CROP) // 2, (WIDE - CROP) // 2
        return self.network(x[..., top : top + CROP, left : left + CROP]).cpu()

    def seen(self, clip_BTCHW: Tensor) -> Tensor:
        """(B, T, 3, 128, 171), 0 … 255."""
        x = resize(clip_BTCHW.to(self.device).flatten(0, 1).float(), (TALL, WIDE), "bilinear")
        return (x.flip(1) if self.bgr else x).unflatten(0, clip_BTCHW.shape[:2])


def c3d(weights: str | None = None, mean: str | None = None, bgr: bool = False, device: str = "cpu") -> C3dLogits:
    """Factory of the ``c3d`` logits. ``weights``: a state dict; ``mean``: a .npy file of the mean clip."""
    subtracted = np.load(regular(mean)) if mean else 0.0
    path, digest = find("c3d", weights)
    try:
        state: dict[str, Any] = torch.load(regular(path), map_location="cpu", weights_only=True)
        sizes = {
            "num_classes": len(state["fc8.bias"]),
            "width": len(state["conv1.bias"]),
            "hidden": len(state["fc6.bias"]),
        }
        network = C3D(**sizes)
        network.load_state_dict(state)
    except Exception as error:
        raise UserError(f"{path} does not hold C3D's weights: {str(error).splitlines()[0][:160]}") from None
    return C3dLogits(network, digest, mean=subtracted, bgr=bgr, device=device)
