"""How fast this machine's CPU trains, by a few steps on random latents: for plans, where nothing was measured."""

import time
from contextlib import closing
from functools import cache

import torch

from artv.config import ModelConfig
from artv.data.latents import LatentCache
from artv.networks import ArtVModel
from artv.training.config import TrainConfig, load_config, with_loop
from artv.training.estimate import weights_of
from artv.training.model import loss_drawer, prepare_networks
from artv.training.step import Step

LARGEST = 20_000_000
"""Weights: of more, a step takes a CPU seconds to minutes."""

SAMPLES, TOKENS, STEPS = 4, 32, 2


def cpu_samples_per_s(config: TrainConfig) -> float | None:
    """Samples a second in training the settings' networks; None for networks too large to try.

    Measured on steps of the settings' batch, of 4 where that is larger.
    """
    if weights_of(config.sizes()) > LARGEST:
        return None
    batch = min(config.model.batch_size, SAMPLES)
    return batch / _seconds(config.sizes(), config.size // 4, batch, config.model.precision)


@cache
def _seconds(sizes: ModelConfig, latent: int, batch: int, precision: str) -> float:
    """The shortest step after a first one; the process's random numbers stay what they were."""
    cpu, config = torch.device("cpu"), with_loop(load_config("shapes"), "model", batch_size=batch, precision=precision)
    with torch.random.fork_rng(devices=[]):
        model = ArtVModel.from_config(sizes)
        prepare_networks(model, config, cpu)
        clips = torch.randn(batch, sizes.num_refs + 2, 4, latent, latent)
        text = torch.randn(batch, TOKENS, sizes.dynamic.text_dim)
        draw_loss = loss_drawer(model, LatentCache(clips.half(), text.half()).sample, text[0], config)
        with closing(Step(model, draw_loss, config.model, cpu)) as step:
            times = [_timed(step, k) for k in range(1 + STEPS)]
    return min(times[1:])


def _timed(step: Step, k: int) -> float:
    started = time.process_time()  # whatever else the machine does now
    step(k)
    return (time.process_time() - started) / torch.get_num_threads()
