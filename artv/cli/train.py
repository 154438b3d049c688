"""``artv train``: a preset's stages, from nothing or from given components; the same command continues."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    preset: Annotated[str, typer.Option(help="shapes or paper")],
    out: Annotated[Path, typer.Option(help="run folder; holds state, log and the finished pipeline")],
    data: Annotated[
        str | None, typer.Option(help="folder with captions.csv and clips, or builtin (default): the shapes world")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="steps of the networks; earlier stages take no more than that")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="clips that a process holds at once, for the networks")] = None,
    global_batch: Annotated[
        int | None,
        typer.Option(help="clips a step over all processes, in several batches where need be (default: one of each)"),
    ] = None,
    no_mask: Annotated[bool, typer.Option("--no-mask", help="the twin without a mask network")] = False,
    no_anchor: Annotated[bool, typer.Option("--no-anchor", help="the twin without anchor blocks")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML over the preset's settings")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="fail if there is nothing to continue")] = False,
    clips: Annotated[
        int | None, typer.Option(help="clips of the built-in world (default 65536 on a GPU, 2048 not)")
    ] = None,
    world: Annotated[
        int | None, typer.Option(help="the built-in world: 1, or 2 for long clips (48 frames; pans, occlusion)")
    ] = None,
    ref_noise: Annotated[str | None, typer.Option(help="noise levels on the references, such as uniform:0:0.1")] = None,
    components: Annotated[
        str | None,
        typer.Option(help="where the autoencoder and text encoder come from: shapes, or a pipeline's folder"),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="where the networks start: a pipeline of ours (folder, or packaged such as shapes:no-mask), or "
            "SD-2.1-base as a diffusers folder or hub id"
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="revision of a hub id given as --init")] = None,
    variant: Annotated[
        str | None, typer.Option(help="of the files in --init: fp16 where they are called ….fp16.safetensors")
    ] = None,
    stages: Annotated[
        str, typer.Option(help="which to run; the networks need the other two, trained or from --components")
    ] = "autoencoder,text_encoder,model",
    minutes: Annotated[
        float | None, typer.Option(help="stop the networks after this time; run again to continue")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="peak learning rate of the networks")] = None,
    seed: Annotated[int | None, typer.Option(help="of weights, data order and noise")] = None,
    device: Annotated[str | None, typer.Option(help="cuda or cpu; default: what there is")] = None,
    reader: Annotated[str | None, typer.Option(help="of video files: decord (default) or pyav")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="check data, weights, disk and memory, print settings and plan, and end")
    ] = False,
    validation: Annotated[
        str | None, typer.Option(help="folder or shards of clips that are not trained on, for the validation loss")
    ] = None,
    tracker: Annotated[
        list[str] | None,
        typer.Option(help="tensorboard (default, if installed), wandb, mlflow or none; may be given several times"),
    ] = None,
) -> None:
    """Train ART-V. With several processes: accelerate launch -m artv train …"""
    from artv.cli.train_command import train_command

    train_command(
        preset=preset,
        out=out,
        config_file=config,
        resume=resume,
        components=components,
        init=init,
        revision=revision,
        variant=variant,
        dry_run=dry_run,
        stages=stages,
        device=device,
        loop={"steps": steps, "batch_size": batch_size, "global_batch": global_batch, "minutes": minutes, "lr": lr},
        settings={
            "data": data,
            "mask": False if no_mask else None,
            "anchor": False if no_anchor else None,
            "clips": clips,
            "world": world,
            "ref_noise": ref_noise,
            "seed": seed,
            "reader": reader,
            "validation": validation,
            "trackers": tuple(tracker) if tracker else None,
        },
    )
