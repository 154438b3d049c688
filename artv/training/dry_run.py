"""``artv train --dry-run``: looks at all that a training needs, and prints the plan, before a GPU is paid for."""

import os
import shutil
from pathlib import Path

import torch
import yaml
from diffusers import AutoencoderKL, UNet2DConditionModel

from artv.autoencoder import AUTOENCODERS
from artv.convert import check_schedule, check_unet_config
from artv.data.shard_index import check_shards
from artv.ending import echo
from artv.errors import UserError
from artv.networks import ArtVModel
from artv.presets import ASSETS, check_components, is_packaged, load_components
from artv.training.clips import Clips
from artv.training.config import ENCODERS, TrainConfig
from artv.training.estimate import GIB, WATTS, disk_of, encoders_of, estimate, hours_of, kwh_of, latents_of
from artv.training.inputs import check_inputs
from artv.training.probe import cpu_samples_per_s
from artv.training.rates import Speed
from artv.training.record import spoken
from artv.training.run import check_begun, inputs_of
from artv.training.sizes import check_start_sizes, networks_in
from artv.training.text_encoder import small_clip
from artv.training.watched import held_out
from artv.weights import check_fit, check_saved, read_config, saved_shapes


def dry_run(
    config: TrainConfig, out: Path, *, components: str | None, init: str | None, variant: str | None, device: str
) -> None:
    """Prints settings, then a line for each thing that was looked at, then what it will take.

    Raises:
        UserError: the first thing that is not as it must be, disk space and memory included.
    """
    echo(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).rstrip())
    echo()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    config.model.micro_batches(world)
    check_begun(out, config, world)
    clips = Clips(config, torch.device("cpu"))
    check_inputs(out, inputs_of(config, clips, world))
    echo(f"data         {_data(config, clips)}")
    if (watched := held_out(config, clips)) is not None:
        echo(f"validation   {_validation(config, clips, watched)}")
    echo(f"weights      {_weights(config, components, init, variant)}")
    expected, latents = estimate(config, world), 0
    free, there = shutil.disk_usage(out).free, _written(out)
    checkpoints = disk_of(config, _encoders(components, init, variant))
    if components is None and init is None:
        checkpoints += disk_of_stages(config)
    if config.stream and not clips.encoded:
        latents = latents_of(config, clips.count)
        echo(f"latents      {_gib(latents)} in {out / 'latents'}")
    begun = f", {_gib(there)} are there" if there else ""
    echo(f"checkpoints  {_gib(checkpoints)} at most in {out}{begun}; {_gib(free)} are free")
    echo(f"memory       {_memory(expected.memory, device)}")
    samples = config.model.samples(world)
    echo(f"steps        {config.model.steps:,} of {samples:,} samples, {world} process{'es' if world > 1 else ''}")
    if device == "cpu" and (own := cpu_samples_per_s(config)) is not None:
        seconds = 3600 * hours_of(config, world, own * world)
        echo(f"time         {spoken(seconds)} at {own * world:,.0f} samples/s, by a few steps on this CPU")
    elif device == "cpu" or expected.speed is None:
        echo("time         not known: nothing like it was measured")
    else:
        echo(f"time         {_time(config, world, expected.speed)}")
    if (more := latents + checkpoints - there) > free:
        what = "latents and checkpoints" if latents else "checkpoints"
        raise UserError(f"{what} need {_gib(more)} and {_gib(free)} are free; make room")
    if expected.memory is not None and device != "cpu" and expected.memory > _card(device):
        raise UserError("it does not fit the GPU: give a smaller --batch-size with --global-batch, or recompute: true")


def disk_of_stages(config: TrainConfig) -> int:
    """Bytes that the stages of a run's own encoders leave behind: two states of each, and the weights."""
    with torch.device("meta"):
        trained = [AUTOENCODERS["shapes"](), small_clip([], config.size)]
    return 2 * 16 * sum(p.numel() for module in trained for p in module.parameters()) + 4 * encoders_of("shapes")


def _time(config: TrainConfig, world: int, speed: Speed) -> str:
    """Hours, samples a second and energy, each as a range where the speed is one."""
    rates = [f"{rate:,.0f}" for rate in (speed.least, speed.most)]
    hours = [hours_of(config, world, rate) for rate in (speed.most, speed.least)]
    energy = [f"{kwh_of(each, world):,.0f}" for each in hours]
    shown = [" to ".join(dict.fromkeys(each)) for each in ([f"{h:,.1f}" for h in hours], rates, energy)]
    return f"{shown[0]} hours at {shown[1]} samples/s, {shown[2]} kWh at {WATTS:.0f} W a GPU (H200s); {speed.by}"


def _data(config: TrainConfig, clips: Clips) -> str:
    shape = f"{config.num_frames} frames of {config.size}² at {config.fps:g} fps"
    if not clips.encoded:
        return f"{config.data}: {clips.count:,} clips, {shape}"
    index = check_shards(config.data, num_frames=config.num_frames, size=config.size, fps=config.fps)
    return f"{config.data}: {clips.count:,} clips as latents in {index.shards} shards, {shape}"


def _validation(config: TrainConfig, clips: Clips, watched: Clips) -> str:
    what = "of the training itself" if watched is clips else f"of {config.validation or 'the test split'}"
    often = {"loss": config.validate_every, "samples": config.sample_every}
    when = ", ".join(f"{name} every {steps:,} steps" for name, steps in often.items() if steps)
    return f"{min(config.validation_clips, watched.count):,} clips {what}: {when}"


def _weights(config: TrainConfig, components: str | None, init: str | None, variant: str | None) -> str:
    if components is not None:
        check_fit(config.sizes(), **load_components(components))
    if init is None:
        return "random" + (f"; autoencoder and text encoder of {components}" if components else "")
    folder = Path(init).expanduser()
    ours = networks_in(init)
    if ours is not None:
        if not is_packaged(init):
            check_saved(ArtVModel, ours, variant)
        check_start_sizes(config, init)
    elif not folder.is_dir():
        return f"{init}: not looked at; it is downloaded when the training starts"
    else:
        check_schedule(folder)
        with torch.device("meta"):
            model = ArtVModel.from_config(config.sizes())
        check_unet_config(model, read_config(folder / "unet"), str(folder / "unet"))
        check_saved(UNet2DConditionModel, folder / "unet", variant)
        check_saved(AutoencoderKL, folder / "vae", variant)
    return f"{init}: keys and shapes are as they must be"


def _encoders(components: str | None, init: str | None, variant: str | None) -> int | None:
    """Weights of the autoencoder and the text encoder that were given; None: none, or they are not on this machine."""
    if components is not None:
        folder, variant = check_components(components), None
    elif init is None:
        return None
    else:
        folder = ASSETS if is_packaged(init) else Path(init).expanduser()
    for names in (ENCODERS, ("vae", "text_encoder")):
        if all((folder / name / "config.json").is_file() for name in names):
            return sum(x.numel() for name in names for x in saved_shapes(folder / name, variant).values())
    return None


def _memory(expected: int | None, device: str) -> str:
    needs = "not known for these sizes" if expected is None else f"{_gib(expected)} a GPU, by estimate"
    return needs if device == "cpu" else f"{needs}; this one has {_gib(_card(device))}"


def _written(out: Path) -> int:
    """Bytes of a run that goes on, a file of two names once."""
    found = (path.stat() for path in out.rglob("*") if path.is_file())
    return sum({each.st_ino: each.st_size for each in found}.values())


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 2**20:.0f} MiB"


def _card(device: str) -> int:
    return torch.cuda.get_device_properties(torch.device(device)).total_memory
