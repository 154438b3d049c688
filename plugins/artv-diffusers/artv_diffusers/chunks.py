"""Pipelines that make a long clip window by window, as chunks: SkyReels-V2's diffusion forcing, whose windows overlap,
AnyFlow-FAR, which goes on from a cache, and Helios, which decodes each chunk by itself.

The pipeline's own loop runs in a thread and gives the latents of each window through its step callback, then waits
until they have been taken. They are decoded with the causal autoencoder's memory kept from chunk to chunk, so that the
frames are those of the whole clip. Helios' frames are taken where its loop decodes them.

Shape legend: B clips, t frames, H W pixels, C latent channels.
"""

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Queue
from typing import Any

import numpy as np
import torch

END = "end"
PARTITION = "chunk_partition"  # AnyFlow-FAR's argument: latent frames of each chunk
PER_CHUNK = "num_latent_frames_per_chunk"  # Helios'


def makes_windows(pipe: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether the call makes more than one window."""
    parameters = inspect.signature(pipe.__call__).parameters
    if PARTITION in parameters:
        return len(partition(pipe, arguments)) > 1
    if PER_CHUNK in parameters:
        per = arguments.get(PER_CHUNK, parameters[PER_CHUNK].default)
        base = (per - 1) * pipe.vae_scale_factor_temporal + 1
        return arguments.get("num_frames", parameters["num_frames"].default) > base
    if "overlap_history" not in parameters or arguments.get("overlap_history") is None:
        return False
    base = arguments.get("base_num_frames", parameters["base_num_frames"].default)
    return arguments.get("num_frames", parameters["num_frames"].default) > base


def windows(pipe: Any, arguments: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """(t, H, W, 3) in 0..1: the new frames of each window. Raises what the pipeline raises."""
    if PER_CHUNK in inspect.signature(pipe.__call__).parameters:
        yield from (np.asarray(_pictures(pipe, video)) for video in _decoded(pipe, arguments))
        return
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
    far = PARTITION in inspect.signature(pipe.__call__).parameters
    counted = len(partition(pipe, arguments)) if far else 1  # windows whose steps the pipeline counts together

    def run(give: Give) -> None:
        def on_step(its: Any, step: int, t: Any, given: dict[str, Any]) -> dict[str, Any]:
            if step == its._num_timesteps // counted - 1:
                latents = given["latents"].clone()
                give(latents.transpose(1, 2) if far else latents)
            return {}

        pipe(**{**arguments, "output_type": "latent", "callback_on_step_end": on_step})

    return _handed_over(pipe, run)


def _decoded(pipe: Any, arguments: Mapping[str, Any]) -> Iterator[Any]:
    """The video (B, 3, t, H, W) of each chunk, as the pipeline decodes it."""
    decode = pipe.vae.decode

    def run(give: Give) -> None:
        def watched(*given: Any, **others: Any) -> Any:
            found = decode(*given, **others)
            give(found[0])
            return found

        object.__setattr__(pipe.vae, "decode", watched)
        try:
            pipe(**arguments)
        finally:
            object.__delattr__(pipe.vae, "decode")

    return _handed_over(pipe, run)


Give = Callable[[Any], None]


def _handed_over(pipe: Any, run: Callable[[Give], None]) -> Iterator[Any]:
    """What ``run`` gives, which goes on in a thread when that has been taken. Raises what it raises."""
    made: Queue[Any] = Queue()
    taken = threading.Event()

    def give(found: Any) -> None:
        made.put(found)
        taken.wait()
        taken.clear()

    def work() -> None:
        try:
            run(give)
            made.put(END)
        except BaseException as error:  # told by whoever waits
            made.put(error)

    worker = threading.Thread(target=work, daemon=True)
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


def _pictures(pipe: Any, video_BCtHW: torch.Tensor) -> Any:
    """(t, H, W, 3) in 0..1 of the first clip."""
    return pipe.video_processor.postprocess_video(video_BCtHW, output_type="np")[0]


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
        return np.asarray(_pictures(self.pipe, video))

    def _part(self, x_BC1hw: torch.Tensor) -> torch.Tensor:
        vae, forward = self.vae, inspect.signature(self.vae.decoder.forward).parameters
        vae._conv_idx = [0]
        flag = {"first_chunk": True} if self.first and "first_chunk" in forward else {}
        self.first = False
        return vae.decoder(x_BC1hw, feat_cache=vae._feat_map, feat_idx=vae._conv_idx, **flag)
