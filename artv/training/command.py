"""What ``artv train`` does: checks everything first, then runs the stages, on one process or several."""

import math
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from artv.convert import encoders_of, fetch, from_stable_diffusion
from artv.errors import UserError, closest
from artv.networks import ArtVModel
from artv.pipeline import ArtVPipeline
from artv.presets import load_components
from artv.training.config import TrainConfig, for_cpu, load_config, with_loop
from artv.training.run import STAGES, Clips, Worker, make_latents, run


def train_command(
    *,
    preset: str,
    out: Path,
    config_file: Path | None,
    resume: bool,
    components: str | None,
    init: str | None,
    revision: str | None,
    stages: str,
    device: str | None,
    loop: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    """See the options of ``artv train``."""
    config = load_config(preset, config_file, **settings)
    config = with_loop(config, "model", **loop)
    if loop["steps"] is not None:
        for stage in STAGES[:2]:
            config = with_loop(config, stage, steps=min(loop["steps"], getattr(config, stage).steps))
    worker, prepare = _worker(device)
    if worker.device.type == "cpu":
        config = for_cpu(config)
    chosen = [name.strip() for name in stages.split(",")]
    for name in chosen:
        if name not in STAGES:
            raise UserError(f"stage is {name!r}; {closest(name, STAGES)}")
    if resume and not (out / "config.json").is_file():
        raise UserError(f"nothing to resume in {out}; leave --resume out to start a run there")
    torch.manual_seed(config.seed)  # what --init lacks (adapters, mask network) starts at random
    start_model, given = _start(config, init, revision)
    given |= load_components(components) if components else {}
    if preset == "paper" and start_model is None:
        raise UserError("the paper preset starts from pretrained weights; give --init SD-2.1-base (folder or hub id)")
    missing = [name for name in STAGES[:2] if name not in given and name not in chosen]
    if "model" in chosen and missing:
        raise UserError(f"the stage model needs {missing[0]}: add it to --stages, or give --components")
    outcome = run(config, out, worker, components=given, init=start_model, stages=chosen, prepare=prepare)
    if worker.is_main:
        state = "finished" if outcome.finished else "stopped at its time limit; run the same command to continue"
        loss = "" if math.isnan(outcome.loss) else f", loss {outcome.loss:.4f}, {outcome.seconds:.0f} s"
        print(f"{outcome.steps} steps{loss}: {state}", file=sys.stderr)
        if "model" in chosen:
            print(
                f"sample from it with: artv sample --checkpoint {out / 'pipeline'} --prompt … --out clip.mp4",
                file=sys.stderr,
            )


def latents_command(
    *,
    preset: str,
    out: Path,
    config_file: Path | None,
    init: str | None,
    revision: str | None,
    components: str | None,
    device: str | None,
    settings: dict[str, Any],
) -> None:
    """See the options of ``artv data latents``."""
    config = load_config(preset, config_file, **settings)
    if (init is None) == (components is None):
        raise UserError("give either --init (SD-2.1-base) or --components (shapes, or a pipeline's folder)")
    worker, _ = _worker(device)
    clips = Clips(config, worker)
    if init is not None:
        autoencoder, text_encoder = encoders_of(fetch(init, revision=revision))
    else:
        autoencoder, text_encoder = load_components(components or "").values()
    make_latents(config, out, clips, autoencoder.to(worker.device), text_encoder.to(worker.device))
    if worker.is_main:
        print(f"{clips.count} clips in {out}; train with: artv train --preset {preset} --data {out} …", file=sys.stderr)


def _start(
    config: TrainConfig, init: str | None, revision: str | None
) -> tuple[ArtVModel | None, dict[str, nn.Module]]:
    """The networks to start from, and the components that come with them: of ours, or SD-2.1-base grown."""
    if init is None:
        return None, {}
    if (Path(init) / "config.json").is_file():
        model, given = ArtVModel.from_pretrained(init, use_safetensors=True), {}
    else:
        pipe = _pipeline(config, init, revision)
        model, given = pipe.model, {name: getattr(pipe, name) for name in STAGES[:2]}
    if model.sizes != config.sizes():
        raise UserError(f"--init {init} holds other networks than the preset {config.preset} with these switches")
    return model, given


def _pipeline(config: TrainConfig, init: str, revision: str | None) -> ArtVPipeline:
    if config.preset == "paper" and not (Path(init) / "model" / "config.json").is_file():
        model, autoencoder, text_encoder = from_stable_diffusion(init, revision=revision, config=config.sizes())
        return ArtVPipeline(model=model, autoencoder=autoencoder, text_encoder=text_encoder)
    return ArtVPipeline.from_pretrained(init)


_WORLD_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")


def _worker(device: str | None):
    """This process; under ``accelerate launch`` or ``torchrun`` also the function that wraps what is trained."""
    sizes = [int(os.environ[name]) for name in _WORLD_SIZES if name in os.environ]
    if not sizes and os.environ.get("ACCELERATE_USE_CPU") == "True" and "MASTER_ADDR" in os.environ:
        raise UserError(
            "accelerate launch --cpu starts one process whatever its --num_processes (more only with mpirun); "
            "on CPUs use: torchrun --nproc-per-node N -m artv train … --device cpu"
        )
    if max(sizes, default=1) > 1:
        from accelerate import Accelerator

        accelerator = Accelerator(cpu=device == "cpu")
        worker = Worker(accelerator.device, accelerator.process_index, accelerator.num_processes)
        return worker, accelerator.prepare_model
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("device is cuda, but no CUDA device is visible; use --device cpu")
    try:
        return Worker(torch.device(name)), None
    except RuntimeError:
        raise UserError(f"device is {name!r}; it must be cuda or cpu") from None
