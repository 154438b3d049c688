"""Stage 3: the two networks, end to end with the composed prediction (Table 4).

Shape suffixes: L text tokens, D text width.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from artv.conditioning import ConditionDropout, noise_levels
from artv.data.latents import Batch
from artv.networks import ArtVModel
from artv.training import processes
from artv.training.config import TrainConfig
from artv.training.estimate import flops_a_sample
from artv.training.fast import use_fast_blocks
from artv.training.fast.attention import choose_attention
from artv.training.loop import Outcome, optimise
from artv.training.loss import noise_prediction_loss
from artv.training.recompute import recompute_blocks
from artv.training.saving import OnSave
from artv.training.step import Fetch, Prepare
from artv.training.trackers import Trackers
from artv.training.validation import Validation


def train_model(
    model: ArtVModel,
    draw_batch: Callable[[int], Batch],
    null_text_LD: Tensor,
    config: TrainConfig,
    out: Path,
    *,
    prepare: Prepare | None = None,
    fetch: Fetch | None = None,
    on_save: OnSave | None = None,
    validation: Validation | None = None,
    trackers: Trackers | None = None,
) -> tuple[ArtVModel, Outcome]:
    """Trains ``model`` in place; returns the averaged copy."""
    device = null_text_LD.device
    prepare_networks(model, config, device)
    draw_loss = loss_drawer(model, draw_batch, null_text_LD, config)
    ema, outcome = optimise(
        model,
        draw_loss,
        config.loop("model"),
        out,
        name="model",
        device=device,
        prepare=prepare,
        fetch=fetch,
        on_save=on_save,
        validation=validation,
        trackers=trackers,
        flops=flops_a_sample(config),
    )
    averaged = ema.model
    assert isinstance(averaged, ArtVModel)
    return averaged, outcome


def prepare_networks(model: ArtVModel, config: TrainConfig, device: torch.device) -> None:
    """Memory layout, fused operations and recomputation, as the settings ask, in place."""
    model.to(memory_format=torch.channels_last).train()
    choose_attention(config, device)
    if config.fused and device.type == "cuda":
        use_fast_blocks(model)
    if config.recompute:
        recompute_blocks(model)
    # exchanged gradients are awaited on the stream that they were announced on
    model.side_stream.on = config.overlap and processes.world() == 1


def loss_drawer(
    model: ArtVModel, draw_batch: Callable[[int], Batch], null_text_LD: Tensor, config: TrainConfig
) -> Callable[[], Tensor]:
    """Draws a batch and returns its loss, with the settings' conditions."""
    dropout = ConditionDropout(text=config.drop_text, ref=config.drop_ref, anchor=config.drop_anchor)
    levels = noise_levels(config.ref_noise)

    def draw_loss() -> Tensor:
        return noise_prediction_loss(
            model,
            draw_batch(config.model.batch_size),
            null_text_LD=null_text_LD,
            dropout=dropout,
            levels=levels,
            first_frame_share=config.first_frame_share,
            copy_noised=config.copy_noised,
            start_share=config.start_share,
            weight_cap=config.weight_cap,
            stratified=config.stratified,
        )

    return draw_loss
