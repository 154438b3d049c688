"""What a training run is made of. Users write it as YAML or options; each preset is a function that returns one."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.dataclasses import dataclass

from artv.config import PRESETS as NETWORKS
from artv.config import ModelConfig, NetworkConfig
from artv.errors import UserError, closest
from artv.ranges import Amount, Count, Name, Positive, Seed, Share, Whole
from artv.requests import LAST_SEED
from artv.yaml_files import read_yaml

ENCODERS = ("autoencoder", "text_encoder")
STAGES = (*ENCODERS, "model")
"""What a run trains, in this order."""

CODE_VERSION = 1
"""Raised when the same settings and seed come to train another model: models are kept under a hash that holds it."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
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
        graph: capture the step as a CUDA graph (where a process makes it from one batch).
        optimizer: ``adamw``, or ``adamw8bit`` (bitsandbytes): a quarter of the memory for the moments.
        seed: of the chance in a global batch, beside the run's own.
        reduce_dtype: in which several processes exchange and sum the gradients of matrices and kernels, ``fp32`` or,
            with precision ``bf16``, ``bf16``: half the bytes. Weights and moments are float32 with both.
        fused_update: in a captured step AdamW and the weights' average are one pass over memory, by a kernel of ours.
    """

    steps: Count
    batch_size: Count
    lr: Amount
    global_batch: Count | None = None
    warmup: Whole = 100
    schedule: Literal["constant", "cosine"] = "constant"
    ema_decay: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.9999
    grad_clip: Positive | None = 1.0
    weight_decay: Amount = 0.01
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: Seed = 0
    minutes: Positive | None = None
    save_minutes: Amount = 2.0
    graph: bool = True
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"
    reduce_dtype: Literal["fp32", "bf16"] = "fp32"
    fused_update: bool = False

    def micro_batches(self, world: int) -> int:
        """How many batches each of ``world`` processes draws for a step.

        Raises:
            UserError: the global batch is no multiple of what they hold at once.
        """
        at_once = self.batch_size * world
        if self.global_batch is not None and self.global_batch % at_once:
            each = f"{world} × {self.batch_size}" if world > 1 else str(self.batch_size)
            raise UserError(
                f"global batch is {self.global_batch}; it must be a multiple of {each}, what is held at once"
            )
        return 1 if self.global_batch is None else self.global_batch // at_once

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
    ``start_share``: share whose references all repeat one frame, as at the start of a clip. ``stratified``: first
    frames, dropped references and anchors are even shares of each batch, so that nothing is computed for what is
    dropped (:mod:`artv.training.strata`); each sample's chances are the same. ``weight_cap``: 1 is the paper's plain
    squared error, see :func:`artv.training.loss.noise_prediction_loss`. ``overlap``: the two networks on two CUDA
    streams. ``networks``: other sizes than the preset's. ``recompute``: less memory for more time, see
    :mod:`artv.training.recompute`. ``fused``: on a GPU, fused operations, see :mod:`artv.training.fast`.
    ``attention_kernels``: PyTorch's choice or FlashAttention-3 (:mod:`artv.training.fast.attention`).
    ``stream``: latents come from shards on disk, written once, instead of from memory; ``workers`` processes read
    them. ``reader``: of video files (:mod:`artv.data.readers`); both give the same frames. ``crop``: the square of a
    frame that is seen, the ``centre`` or a ``random`` one, always the same of a clip.

    What a training is watched by (:mod:`artv.training.validation`): ``validate_every`` steps the loss of the averaged
    weights on ``validation_clips`` clips of ``validation`` (a folder or shards; None: of the built-in world's test
    split, else of the training's own), ``sample_every`` steps clips of them; 0 is never. ``best_by``: the loss by which
    the best step is kept. ``trackers``: where numbers and pictures also go; None: TensorBoard where it is installed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["shapes", "paper"]
    data: Name = "builtin"
    world: Literal[1, 2] = 1
    horizon: Count | None = None
    mask: bool = True
    anchor: bool = True
    clips: Count | None = None
    num_frames: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 16
    size: Annotated[int, Field(ge=8, le=8192, strict=True)] = 64
    fps: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 8.0
    seed: Seed = 0
    drop_text: Share = 0.1
    drop_ref: Share = 0.1
    drop_anchor: Share = 0.1
    first_frame_share: Share = 0.1
    ref_noise: Name = "uniform:0:0.1"
    copy_noised: bool = False
    start_share: Share = 0.0
    stratified: bool = False
    weight_cap: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    overlap: bool = True
    networks: ModelConfig | None = None
    recompute: bool = False
    fused: bool = True
    attention_kernels: Literal["auto", "fa3"] = "auto"
    stream: bool = False
    workers: Annotated[int, Field(ge=0, le=256, strict=True)] = 2
    reader: Literal["decord", "pyav"] = "decord"
    crop: Literal["centre", "random"] = "centre"
    validate_every: Whole = 1_000
    validation: str | None = None
    validation_clips: Annotated[int, Field(ge=1, le=4096, strict=True)] = 32
    sample_every: Whole = 5_000
    best_by: Literal["loss", "loss@100", "loss@300", "loss@500", "loss@700", "loss@900"] = "loss"
    trackers: tuple[str, ...] | None = None
    autoencoder: LoopConfig
    text_encoder: LoopConfig
    model: LoopConfig

    @field_validator("trackers", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        # latents are of an eighth of the side, those of shapes and of small autoencoders of a quarter
        unit = 2 ** (len(self.sizes().dynamic.channels) - 1) * (
            8 if self.preset == "paper" and not self.networks else 4
        )
        if self.size % unit:
            raise ValueError(f"size {self.size} must be a multiple of {unit} for networks of this depth")
        return self

    def loop(self, stage: str) -> LoopConfig:
        """How a stage is trained, with the run's seed added to its own."""
        loop: LoopConfig = getattr(self, stage)
        return replace(loop, seed=(self.seed + loop.seed) % (LAST_SEED + 1))

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
        stratified=True,
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
            reduce_dtype="bf16",
            fused_update=True,
        ),
    )


WATCHED = ("validate_every", "validation", "validation_clips", "sample_every", "best_by", "trackers")
TECHNICAL = (
    "save_minutes",
    "graph",
    "recompute",
    "overlap",
    "fused",
    "fused_update",
    "attention_kernels",
    "reader",
    "reduce_dtype",
    *WATCHED,
)
"""Settings of how fast, in how much memory and how watched: they change what is trained by rounding at most.
``workers`` is none of them: the order of streamed samples depends on their number."""

HOW = ("minutes", *TECHNICAL)
"""What may change from one start of a run to the next. ``minutes`` ends it early, so another time is another model."""

LATER = ("optimizer", "crop", "reduce_dtype", "fused_update", "stratified", "attention_kernels", *WATCHED)
"""Settings that came after models were first kept under a hash of all the others."""


BEFORE = {"stratified": False}
"""What every model was trained with before the setting was there: in no name. Where a preset has another value since,
:func:`code_version` tells."""


def code_version(config: TrainConfig) -> int:
    """``CODE_VERSION``, with what has changed for some settings only."""
    seeded = config.model.global_batch is not None and config.seed != 0  # whose chance did not hang on the run's seed
    return CODE_VERSION + seeded + 2 * config.stratified  # on in ``paper``, which kept models under a hash without it


def identity(config: TrainConfig) -> dict[str, Any]:
    """The settings as JSON holds them, for a hash that stays the same while settings are added: of ``LATER`` there is
    what is neither the default nor what it was ``BEFORE``, of ``TECHNICAL`` the default only.
    """

    def kept(ours: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in ours.items():
            default: Any = usual.get(key)
            if isinstance(value, Mapping):
                found[key] = kept(value, default or {})
            elif key not in LATER or (key not in TECHNICAL and value not in (default, BEFORE.get(key, default))):
                found[key] = default if key in TECHNICAL else value
        return found

    return kept(_plain(config), _first(config.preset))


def technical(config: TrainConfig) -> dict[str, Any]:
    """What :func:`identity` leaves out, where it is not what that holds in its place: nested as the settings are."""

    def kept(ours: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
        inner = {k: kept(v, usual.get(k) or {}) for k, v in ours.items() if isinstance(v, Mapping)}
        left_out = {k: v for k, v in ours.items() if k in TECHNICAL or (k in BEFORE and v == BEFORE[k])}
        changed = {k: v for k, v in left_out.items() if v != usual.get(k)}
        return changed | {key: value for key, value in inner.items() if value}

    return kept(_plain(config), _first(config.preset))


def _first(preset: str) -> dict[str, Any]:
    """The preset's settings, the technical ones as they were when models were first kept under a hash."""
    return _plain(PRESETS[preset]().model_copy(update={"overlap": preset != "paper"}))


def _plain(config: TrainConfig) -> dict[str, Any]:
    return json.loads(config.model_dump_json())


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
        raise _mistake(error) from None


def with_loop(config: TrainConfig, stage: str, **changes: Any) -> TrainConfig:
    """``config`` with some fields of one stage's loop changed (None = leave)."""
    try:
        loop = replace(getattr(config, stage), **{k: v for k, v in changes.items() if v is not None})
    except ValidationError as error:
        raise _mistake(error) from None
    return config.model_copy(update={stage: loop})


def _mistake(error: ValidationError) -> UserError:
    """The first thing that is wrong: which setting, what it is, what it may be."""
    unknown = ("unexpected_keyword_argument", "extra_forbidden")
    first = min(error.errors(), key=lambda e: e["type"] not in unknown)
    where, message = ".".join(str(x) for x in first["loc"]), first["msg"].removeprefix("Value error, ")
    if not where:
        return UserError(message)
    if first["type"] in unknown:
        known = [field.name for field in fields(ModelConfig) + fields(NetworkConfig)]
        return UserError(f"unknown setting {where!r}; {closest(str(first['loc'][-1]), known)}")
    return UserError(f"setting {where} = {first.get('input')!r}: {message[:1].lower()}{message[1:]}")


def in_full(config: TrainConfig) -> str:
    """All settings as YAML of few lines, each stage's on lines of their own."""
    values = _plain(config)
    stages = [{stage: values.pop(stage)} for stage in STAGES]
    parts = (yaml.safe_dump(x, sort_keys=False, default_flow_style=True, width=140) for x in (values, *stages))
    return "{" + ",\n ".join(part.strip()[1:-1] for part in parts) + "}"


def for_cpu(config: TrainConfig, given: Mapping[str, Any]) -> TrainConfig:
    """Where nothing else is ``given`` (nested as settings are): batches of a CPU's size and no autocast: of small
    networks, which are what a CPU can train, a step takes 1.2 to 1.5 times as long with it (docs/training.md).
    """
    for stage, size in (("autoencoder", 64), ("text_encoder", 64), ("model", 32)):
        most = min(size, getattr(config, stage).batch_size)
        asked = given.get(stage) or {}
        usual = {k: v for k, v in {"precision": "fp32", "batch_size": most}.items() if k not in asked}
        config = with_loop(config, stage, **usual)
    return config


def _merge(base: dict[str, Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    for key, value in given.items():
        if key not in base:
            raise UserError(f"config {where}: unknown setting {str(key)!r}; {closest(str(key), base)}")
        if isinstance(base[key], dict) and not isinstance(value, dict):
            raise UserError(f"config {where}: {key} is {value!r}; it must be a mapping of settings to values")
        base[key] = _merge(base[key], value, where) if isinstance(base[key], dict) else value
    return base
