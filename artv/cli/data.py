"""``artv data``: the synthetic world as files, and clips as shards of latents for training at full size."""

from pathlib import Path
from typing import Annotated

import typer

data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make training data.")


@data.callback()
def _group() -> None:
    """Make training data."""


@data.command()
def shapes(
    out: Annotated[Path, typer.Option(help="folder to write to")],
    num: Annotated[int, typer.Option(help="number of clips")],
    split: Annotated[str, typer.Option(help="train or test; they share no background")] = "train",
    seed: Annotated[int, typer.Option(help="another seed is another world")] = 0,
    frames: Annotated[int, typer.Option(help="frames a clip, at 8 fps")] = 16,
    world: Annotated[int, typer.Option(help="1, or 2 for long clips: pans, occlusion, objects that return")] = 1,
) -> None:
    """Write clips of the shapes world: mp4 files, captions.csv, and the motion region of each clip as png."""
    from artv.requests import MOST_FRAMES, SPLITS, check_count, check_name, check_seed, check_writable

    check_count("num", num)
    check_count("frames", frames, most=MOST_FRAMES)
    check_name("split", split, SPLITS)
    check_name("world", str(world), ("1", "2"))
    check_seed(seed)
    check_writable(out / "captions.csv")
    from artv.data.clips import write_shapes

    write_shapes(out, num, split, seed, frames, world)


@data.command()
def latents(
    data: Annotated[str, typer.Option(help="folder with captions.csv and clips, or builtin")],
    out: Annotated[Path, typer.Option(help="folder for the shards; give it to artv train as --data")],
    preset: Annotated[str, typer.Option(help="paper or shapes: size, frames and fps of the clips")] = "paper",
    config: Annotated[Path | None, typer.Option(help="YAML over the preset's settings, as for artv train")] = None,
    init: Annotated[
        str | None, typer.Option(help="SD-2.1-base (a diffusers folder or hub id): its autoencoder and text encoder")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="revision of a hub id given as --init")] = None,
    variant: Annotated[
        str | None, typer.Option(help="of the files in --init: fp16 where they are called ….fp16.safetensors")
    ] = None,
    components: Annotated[str | None, typer.Option(help="instead of --init: shapes, or a pipeline's folder")] = None,
    clips: Annotated[int | None, typer.Option(help="clips of the built-in world")] = None,
    size: Annotated[int | None, typer.Option(help="side in pixels")] = None,
    device: Annotated[str | None, typer.Option(help="cuda or cpu; default: what there is")] = None,
    precision: Annotated[
        str | None, typer.Option(help="of both encoders on a GPU: fp32, fp16 or bf16 (text: fp16); default: fp16")
    ] = None,
) -> None:
    """Encode clips and captions once, as webdataset shards. The same command continues; several processes share it."""
    from artv.cli.train_command import latents_command

    latents_command(
        preset=preset,
        out=out,
        config_file=config,
        init=init,
        revision=revision,
        variant=variant,
        components=components,
        device=device,
        precision=precision,
        settings={"data": data, "clips": clips, "size": size},
    )
