"""What ``artv train`` and ``artv data latents`` are asked for: checked before torch is imported, then launched."""

from pathlib import Path
from typing import Any

from artv.data.captions import captioned_clips
from artv.data.shard_index import is_shards, read_index
from artv.devices import chosen_device
from artv.errors import UserError
from artv.presets import FIRST, check_components, check_start, is_packaged
from artv.requests import check_count, check_init, check_name, check_seed, check_writable
from artv.training.config import ENCODERS, STAGES, TrainConfig, load_config, with_loop
from artv.training.sizes import check_start_sizes
from artv.training.trackers import chosen_trackers
from artv.yaml_files import read_yaml


def train_command(
    *,
    preset: str,
    out: Path,
    config_file: Path | None,
    resume: bool,
    components: str | None,
    init: str | None,
    revision: str | None,
    variant: str | None,
    dry_run: bool,
    stages: str,
    device: str | None,
    loop: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    """See the options of ``artv train``."""
    config = with_loop(load_config(preset, config_file, **settings), "model", **loop)
    if loop["steps"] is not None:
        for stage in ENCODERS:
            config = with_loop(config, stage, steps=min(loop["steps"], getattr(config, stage).steps))
    chosen = [name.strip() for name in stages.split(",")]
    for name in chosen:
        check_name("stage", name, STAGES)
        check_count("steps", getattr(config, name).steps)
        check_count("batch size", getattr(config, name).batch_size)
    _check_sources(config, components, device)
    if init is not None:
        check_start(init, config.preset)
        check_start_sizes(config, init)
    chosen_trackers(config.trackers)
    if resume and not (out / "config.json").is_file():
        raise UserError(f"nothing to resume in {out}; leave --resume out to start a run there")
    if preset == "paper" and init is None:
        raise UserError("the paper preset starts from pretrained weights; give --init SD-2.1-base (folder or hub id)")
    begun = out.exists()
    check_writable(out / "config.json")
    sources = {"components": components, "init": init, "variant": variant}
    file = read_yaml(config_file, "config") if config_file else {}
    asked = {name: value for name, value in loop.items() if value is not None}
    given = {**file, "model": {**(file.get("model") or {}), **asked}}
    if dry_run:
        from artv.training.launch import plan_training

        try:
            plan_training(config, out, **sources, device=device, given=given)
        finally:
            if not begun:  # it was made to be tried
                out.rmdir()
        return
    from artv.training.launch import launch_training

    launch_training(config, out, stages=chosen, **sources, revision=revision, device=device, given=given)


def latents_command(
    *,
    preset: str,
    out: Path,
    config_file: Path | None,
    init: str | None,
    revision: str | None,
    variant: str | None,
    components: str | None,
    device: str | None,
    precision: str | None = None,
    settings: dict[str, Any],
) -> None:
    """See the options of ``artv data latents``."""
    if precision is not None:
        check_name("precision", precision, ("fp32", "fp16", "bf16"))
    config = load_config(preset, config_file, **settings)
    if (init is None) == (components is None):
        raise UserError("give either --init (SD-2.1-base) or --components (shapes, or a pipeline's folder)")
    if init is not None and is_packaged(init):
        raise UserError(f"--init {init} is a pipeline of ours; for its encoders give --components {FIRST}")
    if init is not None:
        check_init(init)
    _check_sources(config, components, device)
    check_writable(out / "index.json")
    from artv.training.launch import launch_latents

    weights = {"components": components, "init": init, "revision": revision, "variant": variant}
    launch_latents(config, out, **weights, device=device, precision=precision)


def _check_sources(config: TrainConfig, components: str | None, device: str | None) -> None:
    if device is not None:
        chosen_device(device)
    check_count("clips", config.clips)
    check_seed(config.seed)
    if config.world != 1 and config.data != "builtin":
        raise UserError(f"world {config.world} is a built-in one, and data is {config.data!r}; give one of the two")
    for folder in (None if config.data == "builtin" else config.data, config.validation):
        if folder is not None and is_shards(folder):
            read_index(folder)
        elif folder is not None:
            captioned_clips(folder)
    if components is not None:
        check_components(components)
