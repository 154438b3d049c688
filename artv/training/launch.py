"""Starts what a checked command asks for: the processes, the weights to begin with, the run."""

import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from artv.conditioning import noise_levels
from artv.convert import encoders_of, fetch
from artv.data.shard_index import begun_with
from artv.devices import chosen_device
from artv.errors import UserError
from artv.presets import load_components
from artv.training import processes
from artv.training.clips import Clips
from artv.training.config import ENCODERS, STAGES, TrainConfig, for_cpu
from artv.training.fast.attention import choose_attention
from artv.training.loop import Prepare
from artv.training.optimizer import check_optimizer
from artv.training.run import make_latents, run
from artv.training.start import start


@processes.leaving()
def launch_training(
    config: TrainConfig,
    out: Path,
    *,
    stages: list[str],
    components: str | None,
    init: str | None,
    revision: str | None,
    variant: str | None = None,
    device: str | None,
    given: Mapping[str, Any] | None = None,
) -> None:
    """Trains, and says how it ended.

    Args:
        given: what of the settings was asked for, nested as they are: a CPU leaves that as it is.
    """
    own, prepare = _own_device(device)
    config = _suited(config, own, given)
    torch.manual_seed(config.seed)  # what --init lacks (adapters, mask network) starts at random
    start_model, given = start(config, init, revision, variant)
    given |= load_components(components) if components else {}
    missing = [name for name in ENCODERS if name not in given and name not in stages]
    if "model" in stages and missing:
        raise UserError(f"the stage model needs {missing[0]}: add it to --stages, or give --components")
    outcome = run(config, out, own, components=given, init=start_model, stages=stages, prepare=prepare)
    if processes.is_main():
        state = "finished" if outcome.finished else "stopped at its time limit; run the same command to continue"
        loss = "" if math.isnan(outcome.loss) else f", loss {outcome.loss:.4f}, {outcome.seconds:.0f} s"
        print(f"{outcome.steps} steps{loss}: {state}", file=sys.stderr)
        if "model" in stages:
            print(
                f"sample from it with: artv sample --checkpoint {out / 'pipeline'} --prompt … --out clip.mp4",
                file=sys.stderr,
            )


def _suited(config: TrainConfig, own: torch.device, given: Mapping[str, Any] | None) -> TrainConfig:
    """The settings as the device takes them, after what can be known to fail has failed."""
    noise_levels(config.ref_noise)
    config = for_cpu(config, given or {}) if own.type == "cpu" else config
    choose_attention(config, own)
    for stage in STAGES:
        check_optimizer(config.loop(stage), own)
    return config


def plan_training(
    config: TrainConfig,
    out: Path,
    *,
    components: str | None,
    init: str | None,
    variant: str | None,
    device: str | None,
    given: Mapping[str, Any] | None = None,
) -> None:
    """``--dry-run``: in one process, whatever the number of those that are to train."""
    from artv.training.dry_run import dry_run

    chosen = chosen_device(device)
    config = _suited(config, torch.device(chosen), given)
    dry_run(config, out, components=components, init=init, variant=variant, device=chosen)


@processes.leaving()
def launch_latents(
    config: TrainConfig,
    out: Path,
    *,
    components: str | None,
    init: str | None,
    revision: str | None,
    variant: str | None = None,
    device: str | None,
    precision: str | None = None,
) -> None:
    """Writes shards, in every process its part.

    Args:
        precision: None: that of a folder that is continued, else float16 on a GPU, whose error is a fourth or fifth of
            what rounding pixels to 8 bits does to latents (``benchmarks/data_latents.py``).
    """
    own, _ = _own_device(device)
    precision = precision or begun_with(out).get("precision") or ("fp16" if own.type == "cuda" else "fp32")
    if own.type == "cpu" and precision != "fp32":
        raise UserError(f"precision {precision} is for GPUs; use fp32")
    clips = Clips(config, own)
    if init is not None:
        autoencoder, text_encoder = encoders_of(fetch(init, revision=revision, variant=variant), variant)
    else:
        autoencoder, text_encoder = load_components(components or "").values()
    parts = autoencoder.to(own, torch.float32), text_encoder.to(own, torch.float32)
    make_latents(config, out, clips, *parts, precision)
    if processes.is_main():
        train = f"artv train --preset {config.preset} --data {out} …"
        print(f"{clips.count} clips in {out}; train with: {train}", file=sys.stderr)


_WORLD_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")


def _own_device(device: str | None) -> tuple[torch.device, Prepare | None]:
    """This process's device; under ``accelerate launch`` or ``torchrun`` also what wraps the modules to be trained."""
    sizes = [int(os.environ[name]) for name in _WORLD_SIZES if name in os.environ]
    if not sizes and os.environ.get("ACCELERATE_USE_CPU") == "True" and "MASTER_ADDR" in os.environ:
        raise UserError(
            "accelerate launch --cpu starts one process whatever its --num_processes (more only with mpirun); "
            "on CPUs use: torchrun --nproc-per-node N -m artv train … --device cpu"
        )
    if max(sizes, default=1) > 1:
        _check_gpus(device)
        os.environ.setdefault("TORCH_NCCL_HIGH_PRIORITY", "1")  # its kernels wait for no place among the others
        from accelerate import Accelerator

        accelerator = Accelerator(cpu=device == "cpu", kwargs_handlers=[exchange()])
        return accelerator.device, accelerator.prepare_model
    return torch.device(chosen_device(device)), None


def exchange() -> Any:
    """How processes exchange gradients: where these lie, in parts that are worth a message."""
    from accelerate import DistributedDataParallelKwargs

    return DistributedDataParallelKwargs(gradient_as_bucket_view=True, bucket_cap_mb=64)


def _check_gpus(device: str | None) -> None:
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if device != "cpu" and gpus and here > gpus:
        raise UserError(f"{here} processes for the {gpus} GPUs of this machine; start at most one for each")
