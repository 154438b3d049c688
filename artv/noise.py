"""Random numbers of a sample, independent of what else is in the batch and of the device.

Every sample owns a stream for each frame and purpose, keyed by (seed, frame, purpose); numbers are drawn on the CPU in
float32.

Shape suffixes: B samples, C latent channels, H W latent size.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def stream(seed: int, frame: int, purpose: str = "") -> torch.Generator:
    """The generator of one frame of one sample; another ``purpose`` has one of its own."""
    key = f"{seed}/{frame}/{purpose}" if purpose else f"{seed}/{frame}"
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") & (2**63 - 1))


class FrameNoise:
    """Standard normal noise for one frame of a batch; also the ``noise(sigma, sigma_next)`` of the samplers."""

    def __init__(
        self, seeds: Sequence[int], frame: int, shape: Sequence[int], device: torch.device, purpose: str = ""
    ) -> None:
        self._streams = [stream(seed, frame, purpose) for seed in seeds]
        self._shape, self._device = tuple(shape), device

    def draw(self) -> Tensor:
        """The next (B, C, H, W), float32, on the device."""
        # from pinned memory the copy to a GPU is queued; from other memory the next step would wait for this one
        rows = torch.empty(len(self._streams), *self._shape, pin_memory=self._device.type == "cuda")
        for row, generator in zip(rows, self._streams, strict=True):
            torch.randn(self._shape, generator=generator, out=row)
        return rows.to(self._device, non_blocking=True)

    def uniform(self) -> Tensor:
        """The next (B,), float32 in [0, 1), on the CPU."""
        return torch.cat([torch.rand(1, generator=generator) for generator in self._streams])

    def zeros(self) -> Tensor:
        """(B, C, H, W) of zeros, drawing nothing."""
        return torch.zeros(len(self._streams), *self._shape, device=self._device)

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        return self.draw()
