"""Pipelines that make a long clip window by window, as chunks: SkyReels-V2's diffusion forcing, whose windows overlap,
and AnyFlow-FAR, which goes on from a cache.

The pipeline's own loop runs in a thread and gives the latents of each window through its step callback, then waits
until they have been taken. They are decoded with the causal autoencoder's memory kept from chunk to chunk, so that the
frames are those of the whole clip.

Shape legend: B clips, t frames, H W pixels, C latent channels.
"""

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from queue import Queue
from typing import Any

import numpy as np
import torch

END = "end"
PARTITION = "chunk_partition"  # AnyFlow-FAR's argument: latent frames of each chunk


def makes_windows(pipe: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether the call makes more than one window."""
    parameters = inspect.signature(pipe.__call__).parameters
    if PARTITION in parameters:
        return len(partition(pipe, arguments)) > 1
    if "overlap_history" not in parameters or arguments.get("overlap_history") is None:
        return False
    base = arguments.get("base_num_frames", parameters["base_num_frames"].default)
    return arguments.get("num_frames", parameters["num_frames"].default) > base


def windows(pipe: Any, arguments: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """(t, H, W, 3) in 0..1: the new frames of each window. Raises what the pipeline raises."""
    shared = arguments.get("overlap_history")
    overlap = 0 if shared is None else (shared - 1) // pipe.vae_scale_factor_temporal + 1
    decode, first = CausalDecoder(pipe), True
    for latents_BCthw in _latents(pipe, arguments):
        yield decode(latents_BCthw if first else latents_BCthw[:, :, overlap:])
        first = False


def partition(pipe: Any, arguments: Mapping[str, Any]) -> Sequence[int]:
    """Latent frames of each chunk of AnyFlow-FAR."""
    return arguments.get(PARTITION) or pipe.transformer.config.chunk_partition


def _latents(pipe: Any, arguments: Mapping[str, Any]) -> Iterator[Any]:
    """The latents of each window (B, C, t, h, w), when its last step is done."""
    made: Queue[Any] = Queue()
    taken = threading.Event()
    far = PARTITION in inspect.signature(pipe.__call__).parameters
    counted = len(partition(pipe, arguments)) if far else 1  # windows whose steps the pipeline counts together

    def on_step(its: Any, step: int, t: Any, given: dict[str, Any]) -> dict[str, Any]:
        if step == its._num_timesteps // counted - 1:
            latents = given["latents"].clone()
            made.put(latents.transpose(1, 2) if far else latents)
            taken.wait()
            taken.clear()
        return {}

    def run() -> None:
        try:
            pipe(**{**arguments, "output_type": "latent", "callback_on_step_end": on_step})
            made.put(END)
        except BaseException as error:  # told by whoever waits
            made.put(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    try:
        while (found := made.get()) is not END:
            if isinstance(found, BaseException):
                raise found
            yield found
            taken.set()
    finally:
        pipe._interrupt = True  # where nobody takes the rest; a call begins by setting it back
        while worker.is_alive():
            taken.set()
            worker.join(0.05)


class CausalDecoder:
    """Wan's autoencoder over a clip whose latents come in parts."""

    def __init__(self, pipe: Any):
        self.pipe, self.vae, self.first = pipe, pipe.vae, True
        self.vae.clear_cache()

    @torch.no_grad()
    def __call__(self, latents_BCthw: torch.Tensor) -> np.ndarray:
        """(t, H, W, 3) in 0..1 of the first clip."""
        vae, config = self.vae, self.vae.config
        z = latents_BCthw.to(vae.dtype)
        mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1).to(z) for v in (config.latents_mean, config.latents_std))
        x = vae.post_quant_conv(z / (1.0 / std) + mean)
        parts = [self._part(x[:, :, i : i + 1]) for i in range(x.shape[2])]
        video = torch.cat(parts, 2).clamp(-1.0, 1.0)
        return np.asarray(self.pipe.video_processor.postprocess_video(video, output_type="np")[0])

    def _part(self, x_BC1hw: torch.Tensor) -> torch.Tensor:
        vae, forward = self.vae, inspect.signature(self.vae.decoder.forward).parameters
        vae._conv_idx = [0]
        flag = {"first_chunk": True} if self.first and "first_chunk" in forward else {}
        self.first = False
        return vae.decoder(x_BC1hw, feat_cache=vae._feat_map, feat_idx=vae._conv_idx, **flag)
