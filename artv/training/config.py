"""What a training run is made of. Users write it as YAML or options; each preset is a function that returns one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from artv.config import PRESETS as NETWORKS
from artv.config import ModelConfig
from artv.errors import UserError, closest
from artv.yaml_files import read_yaml

ENCODERS = ("autoencoder", "text_encoder")
STAGES = (*ENCODERS, "model")
"""What a run trains, in this order."""

CODE_VERSION = 1
"""Raised when the same settings and seed come to train another model: models are kept under a hash that holds it."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How a stage is trained.

    Args:
        steps: optimiser steps in all, over all resumptions.
        batch_size: samples that a process holds at once.
        global_batch: samples a step over all processes, gathered from several batches where need be; None = one
            batch of each process.
        lr: peak learning rate; ``schedule`` is ``constant`` (Table 4) or ``cosine`` to zero, after ``warmup`` steps.
        ema_decay: decay of the weights' average.
        grad_clip: largest norm of a step's gradient; None = as it is.
        precision: ``fp32`` or ``bf16`` (autocast).
        minutes: stop (and save) after this time even if steps remain; None = no limit.
        save_minutes: time between checkpoints.
        graph: capture the step as a CUDA graph (one GPU only).
    """

    steps: int
    batch_size: int
    lr: float
    global_batch: int | None = None
    warmup: int = 100
    schedule: str = "constant"
    ema_decay: float = 0.9999
    grad_clip: float | None = 1.0
    weight_decay: float = 0.01
    precision: str = "fp32"
    seed: int = 0
    minutes: float | None = None
    save_minutes: float = 2.0
    graph: bool = True

    def micro_batches(self, world: int) -> int:
        """How many batches each of ``world`` processes draws for a step."""
        return 1 if self.global_batch is None else self.global_batch // (self.batch_size * world)

    def samples(self, world: int) -> int:
        """Samples a step over ``world`` processes."""
        return self.global_batch or self.batch_size * world

    def lr_at(self, step: int) -> float:
        """Learning rate of a step (0-based)."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps))) if self.schedule == "cosine" else 1.0
        return self.lr * rise * fall


class TrainConfig(BaseModel):
    """One run: data, ablation switches and the three stages.

    ``world``: which of the built-in ones. 2 has long clips: of each, training sees a window of ``num_frames`` from any
    place in its first ``horizon`` frames; unless said otherwise these become 48 and 144.
    ``clips``: how many clips of the built-in world; None = 65,536 on a GPU, 2,048 on a CPU.
    ``ref_noise``: distribution of the noise level on the references that the adapters see; what the mask copies stays
    clean. ``first_frame_share``: share of training targets that are first frames (no references, no anchor);
    ``start_share``: share whose references all repeat one frame, as at the start of a clip. ``weight_cap``: 1 is
    the paper's plain squared error, see :func:`artv.training.loss.noise_prediction_loss`. ``overlap``: the two
    networks on two CUDA streams. ``networks``: other sizes than the preset's. ``recompute``: less memory for more
    time, see :mod:`artv.training.recompute`. ``fused``: on a GPU, fused operations, see :mod:`artv.training.fast`.
    ``stream``: latents come from shards on disk, written once, instead of from memory; ``workers`` processes read
    them. ``reader``: of video files (:mod:`artv.data.readers`); both give the same frames.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["shapes", "paper"]
    data: str = "builtin"
    world: Literal[1, 2] = 1
    horizon: int | None = None
    mask: bool = True
    anchor: bool = True
    clips: int | None = None
    num_frames: int = 16
    size: int = 64
    fps: float = 8.0
    seed: int = 0
    drop_text: float = 0.1
    drop_ref: float = 0.1
    drop_anchor: float = 0.1
    first_frame_share: float = 0.1
    ref_noise: str = "uniform:0:0.1"
    copy_noised: bool = False
    start_share: float = 0.0
    weight_cap: float = 1.0
    overlap: bool = True
    networks: ModelConfig | None = None
    recompute: bool = False
    fused: bool = True
    stream: bool = False
    workers: int = 2
    reader: Literal["decord", "pyav"] = "decord"
    autoencoder: LoopConfig
    text_encoder: LoopConfig
    model: LoopConfig

    def sizes(self) -> ModelConfig:
        """Sizes of the two networks, after the switches."""
        chosen = self.networks or NETWORKS[self.preset]()
        return replace(chosen, mask=chosen.mask if self.mask else None, anchor=chosen.anchor and self.anchor)


def shapes() -> TrainConfig:
    """The small world, from nothing: autoencoder, text encoder, then the two networks."""
    return TrainConfig(
        preset="shapes",
        ref_noise="uniform:0:0.2",
        start_share=0.3,
        weight_cap=5.0,
        autoencoder=LoopConfig(
            steps=4_500, batch_size=256, lr=1e-3, schedule="cosine", ema_decay=0.999, precision="bf16"
        ),
        text_encoder=LoopConfig(
            steps=4_000, batch_size=1024, lr=1e-3, schedule="cosine", ema_decay=0.999, precision="bf16"
        ),
        model=LoopConfig(
            steps=12_000,
            batch_size=512,
            lr=8e-4,
            warmup=500,
            schedule="cosine",
            ema_decay=0.9995,
            precision="bf16",
        ),
    )


def paper() -> TrainConfig:
    """Tables 2 and 4: batch 480 (on 4 GPUs: 120 each), AdamW at 1e-5, EMA 0.9999, 258 K iterations, 8 fps."""
    given = LoopConfig(steps=1, batch_size=1, lr=0.0)  # both come pretrained; these stages do not run
    return TrainConfig(
        preset="paper",
        size=320,
        autoencoder=given,
        text_encoder=given,
        ref_noise="uniform:0:0.1",
        stream=True,
        workers=4,
        model=LoopConfig(
            steps=258_000,
            batch_size=120,
            lr=1e-5,
            warmup=1,
            ema_decay=0.9999,
            precision="bf16",
            grad_clip=None,  # none in the paper
            save_minutes=30,
        ),
    )


LONG = {"num_frames": 48, "horizon": 144}
"""What ``world: 2`` brings, where nothing else is given."""
PRESETS = {"shapes": shapes, "paper": paper}


def load_config(preset: str, file: str | Path | None = None, **changes: Any) -> TrainConfig:
    """A preset, then a YAML file over it, then single ``changes`` (None = leave)."""
    if preset not in PRESETS:
        raise UserError(f"preset is {preset!r}; {closest(preset, PRESETS)}")
    values = PRESETS[preset]().model_dump()
    given: dict[str, Any] = {}
    if file is not None:
        given = read_yaml(file, "config")
        values = _merge(values, given, str(file))
    given |= {k: v for k, v in changes.items() if v is not None}
    values |= {k: v for k, v in changes.items() if v is not None}
    if values["world"] == 2:
        values |= {k: v for k, v in LONG.items() if given.get(k) is None}
    return _validated(values)


def with_changes(config: TrainConfig, changes: Mapping[str, Any], where: str) -> TrainConfig:
    """``config`` with nested changes, such as ``{"mask": False, "model": {"lr": 1e-3}}``.

    Raises:
        UserError: a setting that does not exist, with the closest one, or does not fit. ``where``: whose they are.
    """
    return _validated(_merge(config.model_dump(), changes, where))


def _validated(values: Mapping[str, Any]) -> TrainConfig:
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(x) for x in first["loc"])
        raise UserError(f"setting {where} = {first.get('input')!r}: {first['msg'].lower()}") from None


def with_loop(config: TrainConfig, stage: str, **changes: Any) -> TrainConfig:
    """``config`` with some fields of one stage's loop changed (None = leave)."""
    loop = replace(getattr(config, stage), **{k: v for k, v in changes.items() if v is not None})
    return config.model_copy(update={stage: loop})


def for_cpu(config: TrainConfig) -> TrainConfig:
    """Where nothing else was asked for: batches of a CPU's size, and no autocast, which does not pay there."""
    usual = PRESETS[config.preset]()
    for stage, size in (("autoencoder", 64), ("text_encoder", 64), ("model", 32)):
        ours, theirs = getattr(config, stage), getattr(usual, stage)
        batch_size = min(size, theirs.batch_size) if ours.batch_size == theirs.batch_size else None
        config = with_loop(config, stage, precision="fp32", batch_size=batch_size)
    return config


def _merge(base: dict[str, Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    for key, value in given.items():
        if key not in base:
            raise UserError(f"config {where}: unknown setting {key!r}; {closest(key, base)}")
        base[key] = _merge(base[key], value, where) if isinstance(base[key], dict) else value
    return base
