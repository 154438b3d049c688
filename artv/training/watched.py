"""The clips by which a training is watched, and what is made of them: see :mod:`artv.training.validation`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from artv.autoencoder import encode_frames
from artv.data.latents import Batch, LatentCache
from artv.data.shard_index import check_shards
from artv.data.shards import read_clips
from artv.networks import ArtVModel
from artv.pipeline import ArtVPipeline
from artv.text_encoder import OpenClipTextEncoder
from artv.training.clips import Clips
from artv.training.config import TrainConfig
from artv.training.validation import FixedLoss, Validation, grid

SAMPLES, SAMPLING_STEPS = 4, 10


def held_out(config: TrainConfig, clips: Clips, **encoders: str) -> Clips | None:
    """The clips to watch by; every process calls it. None where nothing is to be watched before the last step.

    Args:
        clips: the training's.
        encoders: what latents must have been made with, as their index says it.

    Raises:
        UserError: they cannot be read, or are latents of other encoders or settings.
    """
    if not any(0 < every <= config.model.steps for every in (config.validate_every, config.sample_every)):
        return None
    if config.validation is not None:
        found = Clips(config.model_copy(update={"data": config.validation}), clips.device)
        if found.encoded:
            same = {"num_frames": config.num_frames, "size": config.size, "fps": config.fps}
            check_shards(config.validation, **same, **encoders)
        return found
    if config.data == "builtin":
        return Clips(config, clips.device, split="test")
    return clips  # nothing is held out: the loss has no luck of the draw, but the model has seen them


def make_validation(
    config: TrainConfig, out: Path, clips: Clips, autoencoder: AutoencoderKL, text_encoder: OpenClipTextEncoder
) -> Validation:
    """The main process calls it, with the clips to watch by."""
    count = min(config.validation_clips, clips.count)
    if clips.encoded:
        batch, captions = read_clips(Path(clips.config.data), count)
    else:
        batch, captions = _encoded(clips, count, autoencoder, text_encoder)
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
