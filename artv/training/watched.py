"""The clips by which a training is watched, and what is made of them: see :mod:`artv.training.validation`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from artv.autoencoder import encode_frames
from artv.data.latents import Batch, LatentCache
from artv.data.shards import read_clips
from artv.networks import ArtVModel
from artv.pipeline import ArtVPipeline
from artv.text_encoder import OpenClipTextEncoder
from artv.training import processes
from artv.training.clips import Clips
from artv.training.config import TrainConfig
from artv.training.validation import FixedLoss, Validation, grid

SAMPLES, SAMPLING_STEPS = 4, 10


def make_validation(
    config: TrainConfig, out: Path, clips: Clips, autoencoder: AutoencoderKL, text_encoder: OpenClipTextEncoder
) -> Validation | None:
    """Every process calls it; None but in the main one, and where nothing is to be watched before the last step."""
    if not any(0 < every <= config.model.steps for every in (config.validate_every, config.sample_every)):
        return None
    held_out = _held_out(config, clips)
    if not processes.is_main():
        return None
    count = min(config.validation_clips, held_out.count)
    if held_out.encoded:
        folder = Path(held_out.config.data)
        batch, captions = read_clips(folder, count)
    else:
        batch, captions = _encoded(held_out, count, autoencoder, text_encoder)
    batch = Batch(*(x.to(clips.device) for x in batch))
    return Validation(
        FixedLoss(batch, config.sizes().num_refs, min(count, config.model.batch_size)),
        out,
        every=config.validate_every,
        best_by=config.best_by,
        precision=config.model.precision,
        sample=partial(_sampled, captions[:SAMPLES], config, autoencoder, text_encoder),
        sample_every=config.sample_every,
    )


def _held_out(config: TrainConfig, clips: Clips) -> Clips:
    if config.validation is not None:
        return Clips(config.model_copy(update={"data": config.validation}), clips.device)
    if config.data == "builtin":
        return Clips(config, clips.device, split="test")
    return clips  # nothing is held out: the loss has no luck of the draw, but the model has seen them


def _encoded(
    clips: Clips, count: int, autoencoder: AutoencoderKL, text_encoder: OpenClipTextEncoder
) -> tuple[Batch, list[str]]:
    captions: list[str] = []

    def encode_text(some: list[str]) -> torch.Tensor:
        captions.extend(some)
        return text_encoder.encode(some)

    encode = partial(encode_frames, autoencoder)
    cache = LatentCache.build(clips.batches(range(count)), encode, encode_text, lambda done: None)
    return Batch(cache.latents_NTChw, cache.text_NLD), captions


def _sampled(
    captions: Sequence[str],
    config: TrainConfig,
    autoencoder: AutoencoderKL,
    text_encoder: OpenClipTextEncoder,
    model: ArtVModel,
) -> np.ndarray:
    """Clips of these captions, always from the same noise, and their masks."""
    pipeline = ArtVPipeline(model=model, autoencoder=autoencoder, text_encoder=text_encoder)
    pipeline.fast = False  # its weights change from call to call
    made = pipeline(
        list(captions),
        num_frames=min(config.num_frames, 16),
        height=config.size,
        width=config.size,
        steps=min(SAMPLING_STEPS, pipeline.defaults.steps),
        return_masks=model.mask_network is not None,
    )
    return grid(made.frames, made.masks)
